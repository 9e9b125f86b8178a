//! Decodes one message at a time.

use ably_chat_exporter::ably::{CipherKey, Decoder, Entry, Verdict};
use ably_chat_exporter::chat::{ChatEvent, ChatMessage};
use serde_json::{Value, json};

/// Decodes one message on a channel, with a cipher key or without.
pub(crate) fn decode_in(channel: &str, message: &Value, key: Option<&str>) -> Entry {
    let cipher_key = key.map(|key| CipherKey::from_base64(key).expect("a key"));
    let body = json!({"channel": channel, "messages": [message]}).to_string();
    let entries = Decoder { app_id: None, cipher_key }.decode(body.as_bytes());
    entries.expect("a readable payload").remove(0)
}

/// Decodes one message in a room.
pub(crate) fn outcome(message: &Value) -> Verdict {
    decode_in("r::$chat", message, None).verdict
}

pub(crate) fn version_of(outcome: Verdict) -> ChatMessage {
    match outcome {
        Verdict::Event(ChatEvent::Version(message, _)) => *message,
        other => panic!("{other:?}"),
    }
}

/// A message, with these members beside those that each has.
pub(crate) fn chat(members: &Value) -> Value {
    let mut message = json!({"name": "chat.message", "serial": "s1", "timestamp": 7});
    for (name, value) in members.as_object().expect("an object") {
        message[name] = value.clone();
    }
    message
}

/// Decodes messages given as JSON text, for what no `Value` can hold.
pub(crate) fn entries_of(messages: &str) -> Vec<Entry> {
    let body = format!(r#"{{"channel":"r::$chat","messages":[{messages}]}}"#);
    Decoder::default().decode(body.as_bytes()).expect("a readable payload")
}

/// Decodes one message, given as the text of its further members.
pub(crate) fn entry_of(members: &str) -> Entry {
    let message = format!(r#"{{"name":"chat.message","serial":"s1",{members}}}"#);
    entries_of(&message).remove(0)
}

/// What a message keeps aside, as `name=JSON`.
pub(crate) fn aside(message: &ChatMessage) -> String {
    let kept = message.aside.iter().map(|(name, json)| format!("{name}={}", json.as_str()));
    kept.collect::<Vec<_>>().join(" ")
}
