//! What is no message of a room, and is skipped.

use ably_chat_exporter::ably::{Decoder, Skip, Verdict};
use serde_json::{Value, json};

use crate::reading::{chat, decode_in};

#[test]
fn skip_rules() {
    let skip = |channel: &str, message: Value| match decode_in(channel, &message, None).verdict {
        Verdict::Skip(skip) => Some(skip),
        Verdict::Event(_) | Verdict::Fail(_) => None,
    };
    let create = || chat(&json!({}));
    for (channel, message, expected) in [
        ("r::$chat", create(), None),
        ("r", create(), Some(Skip::OtherChannel)),
        ("[meta]log", create(), Some(Skip::Metachannel)),
        ("r::$chat::$chatMessages", create(), Some(Skip::LegacyRoom)),
        ("r::$chat", chat(&json!({"extras": {"ephemeral": true}})), Some(Skip::Ephemeral)),
        ("r::$chat", chat(&json!({"extras": {"ephemeral": false}})), None),
        ("r::$chat", chat(&json!({"name": "roomReaction"})), Some(Skip::OtherName)),
        ("r::$chat", chat(&json!({"name": null})), Some(Skip::OtherName)),
        ("r::$chat", chat(&json!({"action": 3})), Some(Skip::Meta)),
        ("r::$chat", chat(&json!({"action": "meta", "name": "[meta]occupancy"})), Some(Skip::Meta)),
        ("r::$chat", chat(&json!({"action": 4, "name": null})), None),
        // An append changes a message whatever it is called: it fails, it does not vanish.
        ("r::$chat", chat(&json!({"action": 5, "name": null})), None),
        ("r::$chat", chat(&json!({"action": 9, "name": "other"})), Some(Skip::OtherName)),
    ] {
        assert_eq!(skip(channel, message.clone()), expected, "{channel} {message}");
    }
}

#[test]
fn events_without_messages_are_identified_by_what_they_hold() {
    let skips = |body: Value| {
        let entries = Decoder::default().decode(body.to_string().as_bytes());
        let entries = entries.expect("a readable payload");
        let skips = entries.into_iter().map(|entry| match entry.verdict {
            Verdict::Skip(skip) => skip,
            other => panic!("{other:?}"),
        });
        skips.collect::<Vec<_>>()
    };
    // Ably's own example of a presence event calls itself channel.message.
    let presence = json!({"source": "channel.message", "channel": "r::$chat", "presence": [{}]});
    assert_eq!(skips(presence), [Skip::Presence]);
    assert_eq!(skips(json!({"source": "channel.lifecycle", "name": "x"})), [Skip::Lifecycle]);
    assert_eq!(skips(json!({"source": "channel.occupancy"})), [Skip::Occupancy]);
    let item = |source: &str| json!({"source": source, "data": {"channelId": "r::$chat"}});
    let items = json!({"items": [item("channel.lifecycle"), item("channel.occupancy")]});
    assert_eq!(skips(items), [Skip::Lifecycle, Skip::Occupancy]);
    assert_eq!(skips(json!({"items": []})), []);
}
