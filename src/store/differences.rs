//! In what two records of one version differ.

use serde_json::Value;

use crate::chat::{Action, ChatMessage, JsonText};
use crate::store::anonymous::is_publishers;

/// In which members two records of one version differ; none if they are the same to a reader. What
/// a deletion deleted is not compared: Ably blanks it in some places, and keeps it in others.
#[must_use]
pub fn differences(one: &ChatMessage, other: &ChatMessage) -> Vec<&'static str> {
    let (mut differing, has_content) = (Vec::new(), one.action != Action::Delete);
    let mut note = |name, is_same: bool| {
        if !is_same {
            differing.push(name);
        }
    };
    note("action", one.action == other.action);
    note("clientId", one.client_id == other.client_id);
    note("timestamp", one.timestamp == other.timestamp);
    note("userClaim", one.user_claim == other.user_claim);
    note("version.timestamp", one.version.timestamp == other.version.timestamp);
    note("version.clientId", one.version.client_id == other.version.client_id);
    note("version.description", one.version.description == other.version.description);
    let (metadata, others) = (&one.version.metadata, &other.version.metadata);
    let (metadata, others) =
        (metadata.clone().unwrap_or_default(), others.clone().unwrap_or_default());
    note("version.metadata", is_equivalent(&metadata, &others));
    note("aside", is_same_aside(one, other));
    if has_content || other.action != Action::Delete {
        note("text", one.text == other.text);
        note("metadata", is_equivalent(&one.metadata, &other.metadata));
        note("headers", is_equivalent(&one.headers, &other.headers));
    }
    differing
}

/// Whether two records keep the same aside, as far as that can be said: one form of a message may
/// have members that another lacks, a row may have no room for a value, and what may be about
/// reactions is not always kept whole.
fn is_same_aside(one: &ChatMessage, other: &ChatMessage) -> bool {
    let is_kept = |json: &JsonText| json.as_str() != "null";
    one.aside.iter().filter(|(name, json)| is_publishers(name) && is_kept(json)).all(
        |(name, json)| match other.aside.get(name).filter(|found| is_kept(found)) {
            Some(found) => is_equivalent(json, found),
            None => true,
        },
    )
}

/// Whether two texts are the same JSON: the order of members and the spelling of numbers aside.
fn is_equivalent(one: &JsonText, other: &JsonText) -> bool {
    fn same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                one == other || one.as_f64() == other.as_f64()
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                let found = |name| other.get(name);
                one.len() == other.len()
                    && one.iter().all(|(name, value)| found(name).is_some_and(|it| same(value, it)))
            }
            (one, other) => one == other,
        }
    }
    let read = |text: &JsonText| serde_json::from_str::<Value>(text.as_str()).ok();
    one == other || read(one).zip(read(other)).is_some_and(|(one, other)| same(&one, &other))
}
