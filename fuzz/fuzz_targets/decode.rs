//! Any bytes: decoding them, as a delivery or as an item of a REST API, and planning their rows
//! never panics and never asks for memory without bound.
#![no_main]

use std::sync::LazyLock;

use ably_chat_exporter::ably::{self, CipherKey, Decoder, Verdict};
use ably_chat_exporter::chat::{ChatEvent, RoomName, Serial};
use ably_chat_exporter::store::{KeepReactions, Observation, Settings, Store};
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::{Client, Config};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

static DECODER: LazyLock<Decoder> = LazyLock::new(|| Decoder {
    app_id: None,
    cipher_key: CipherKey::from_base64("WUP6u0K7MXI5Zeo0VppPwg==").ok(),
});

/// A store that is never asked to write.
static STORE: LazyLock<Store> = LazyLock::new(|| {
    let config = Config::builder().behavior_version(BehaviorVersion::v2026_01_12()).build();
    let settings = Settings {
        reactions: KeepReactions::Snapshots,
        retention_days: Some(36_500),
        ..Settings::default()
    };
    Store::new(Client::from_conf(config), "fuzz", settings)
});

fuzz_target!(|body: &[u8]| {
    let observation =
        Observation { delivery: Some("d"), received_at: i64::MAX, is_redelivery: false };
    for entry in DECODER.decode(body).into_iter().flatten() {
        if let Verdict::Event(event) = entry.verdict
            && let Ok(puts) = STORE.plan(&event, observation)
        {
            let room = entry.room.expect("an event has a room");
            assert!(puts.iter().all(|put| put.key.pk == room.0));
        }
    }
    let Ok(item) = serde_json::from_slice::<&RawValue>(body) else { return };
    let room = RoomName("fuzz".into());
    if let Ok(fetched) = ably::chat_message(item, &room) {
        let event = ChatEvent::Version(Box::new(fetched.message), None);
        drop(STORE.plan(&event, observation));
    }
    drop(ably::pub_sub_message(item, &room, DECODER.cipher_key.as_ref()));
    if let Ok(annotation) = ably::annotation(item, &room, &Serial("1".into())) {
        drop(STORE.plan_annotation(&annotation, 0, observation));
    }
});
