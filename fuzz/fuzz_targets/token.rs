//! Any bytes: as a token, as the parts of a JWT, as an API key or as a whole header, they never
//! make the gate of the read API panic, and never open it.
#![no_main]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use ably_chat_exporter::aws::secret::{Secret, SecretSource};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::history::auth::{Gate, HistoryKeys, Operation, Request};
use aws_config::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// Its secret is another each time: the fuzzer could find one that is in the program.
static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let secret = RandomState::new().build_hasher().finish();
    let source = SecretSource::Text(format!("app.key:{secret}"));
    let config = SdkConfig::builder().build();
    Gate::new(Secret::new(source, HistoryKeys::parse, config), Some("app".into()), true)
});

fuzz_target!(|bytes: &[u8]| {
    let parts = bytes.split(|byte| *byte == 0).map(|part| URL_SAFE_NO_PAD.encode(part));
    let parts = parts.collect::<Vec<_>>().join(".");
    let whole = URL_SAFE_NO_PAD.encode(bytes);
    let values = [
        bytes.to_vec(),
        [b"Bearer ", bytes].concat(),
        format!("Bearer {parts}").into_bytes(),
        format!("Bearer {whole}").into_bytes(),
        format!("Basic {whole}").into_bytes(),
    ];
    let room = RoomName(String::from_utf8_lossy(bytes).into_owned());
    for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        let mut headers = HeaderMap::new();
        headers.insert("x-ably-clientid", value.clone());
        headers.insert("authorization", value);
        let request = Request {
            headers: &headers,
            query_client_id: None,
            room: &room,
            operation: Operation::History,
            now_ms: 1_800_000_000_000,
        };
        assert!(RUNTIME.block_on(GATE.admit(None, &request)).is_err());
    }
});
