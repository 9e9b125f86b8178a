//! MessagePack: it says what JSON says, or is refused.

use ably_chat_exporter::ably::{Decoder, Verdict};
use ably_chat_exporter::chat::ChatEvent;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::json::any_json;

/// An envelope in MessagePack, its metadata not as JSON text but as MessagePack's own values.
fn packed(metadata: &str) -> Vec<u8> {
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    let message = json!({"name": "chat.message", "serial": "1", "timestamp": 1,
                         "data": {"text": "t", "metadata": {"value": metadata}}});
    let envelope = json!({"channel": "r::$chat", "messages": [message]});
    rmp_serde::to_vec(&envelope).expect("MessagePack holds what JSON does")
}

fn metadata_of(body: &[u8]) -> Option<String> {
    let entry = Decoder::default().decode(body).ok()?.pop()?;
    match entry.verdict {
        Verdict::Event(ChatEvent::Version(message, _)) => Some(message.metadata.as_str().into()),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// What JSON can say, MessagePack says the same: numbers by their value, for it has no digits.
    #[test]
    fn messagepack_says_what_json_says(value in any_json()) {
        let found = metadata_of(&packed(&value)).expect("a message");
        let expected: Value = serde_json::from_str(&value).unwrap_or_default();
        let found: Value = serde_json::from_str(&found).expect("JSON");
        prop_assert!(same(&found["value"], &expected), "{} {expected}", found["value"]);
    }

    /// Cut short, overwritten, or nothing but noise: an answer, and never a panic.
    #[test]
    fn broken_messagepack_is_refused_or_read(
        value in any_json(),
        cut in 0..400_usize,
        changes in proptest::collection::vec((0..400_usize, any::<u8>()), 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let whole = packed(&value);
        let mut broken = whole[..cut.min(whole.len())].to_vec();
        if cut < whole.len() {
            prop_assert!(Decoder::default().decode(&broken).is_err(), "half an event is none");
        }
        for (place, byte) in changes {
            if let Some(old) = broken.get_mut(place) {
                *old = byte;
            }
        }
        for body in [broken, noise.clone(), [&[0x82][..], &noise].concat()] {
            if let Err(error) = Decoder::default().decode(&body) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// Whether two values are the same, numbers but for the last digits: the test's own reader is not
/// exact in those.
fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => {
            let [one, two] = [one, two].map(|number| number.as_f64().unwrap_or(f64::NAN));
            (one - two).abs() <= 1e-12 * one.abs().max(two.abs())
        }
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            let names = one.keys().eq(two.keys());
            names && one.iter().all(|(name, value)| same(value, &two[name]))
        }
        (one, two) => one == two,
    }
}
