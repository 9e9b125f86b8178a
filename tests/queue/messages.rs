//! Messages for the queue, and the rows that they leave.

use serde_json::json;
use testkit::Engine;

use crate::common::EPOCH;

/// The nth message of a room.
pub(crate) fn message(number: usize, text: &str) -> Vec<u8> {
    let serial = format!("{:014}-000@aBcDeFgHi12345678:000", number + 1);
    let message = json!({"name": "chat.message", "serial": serial, "timestamp": EPOCH,
                         "data": {"text": text}});
    json!({"source": "channel.message", "channel": "r::$chat", "messages": [message]})
        .to_string()
        .into_bytes()
}

/// A summary of the reactions to one message: how many there are.
pub(crate) fn summary(total: u64) -> Vec<u8> {
    let serial = format!("{:014}-000@aBcDeFgHi12345678:000", 1);
    let summary = json!({"reaction:distinct.v1": {"👍": {"total": total}}});
    let message = json!({"name": "chat.message", "serial": serial, "timestamp": EPOCH, "action": 4,
                         "version": {"serial": serial, "timestamp": EPOCH},
                         "annotations": {"summary": summary}});
    json!({"source": "channel.message", "channel": "r::$chat", "messages": [message]})
        .to_string()
        .into_bytes()
}

/// How many reactions the one row in the table says.
pub(crate) async fn reactions(engine: &Engine) -> String {
    let rows = engine.rows().await;
    let [row] = &rows[..] else { panic!("one row: {rows:?}") };
    let text = format!("{row:?}");
    let total = text.split("\"total\": N(\"").nth(1).unwrap_or_else(|| panic!("a total: {text}"));
    total.chars().take_while(char::is_ascii_digit).collect()
}

pub(crate) async fn rows(engine: &Engine) -> usize {
    engine.rows().await.len()
}
