//! Payloads that are encrypted, with the right key, a wrong one and none.

use ably_chat_exporter::ably::CipherKey;
use ably_chat_exporter::chat::{ChatMessage, Data};
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reading::{chat, decode_in, version_of};

/// Ably's own vectors (ably-common test-resources) and one made with openssl for 256 bits.
#[test]
fn encrypted_payloads() {
    let key_128 = "WUP6u0K7MXI5Zeo0VppPwg==";
    let key_256 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let json_128 = "HO4cYSP8LybPYBPZPHQOtuD53yrD3YV3NBoTEYBh4U0N1QXHbtkfsDfTspKeLQFt";
    let text_128 =
        "HO4cYSP8LybPYBPZPHQOtmHItcxYdSvcNUC6kXVpMn0VFL+9z2/5tJ6WFbR0SBT1xhFRuJ+MeBGTU3yOY9P5ow==";
    let json_256 = "Dw4NDAsKCQgHBgUEAwIBAAkAOKI/pX/hYQJlsehjwz5AS6Hpu5cPr544dm/TshNU";
    let decode = |data: &str, encoding: &str, key| {
        let message = chat(&json!({"data": data, "encoding": encoding}));
        version_of(decode_in("r::$chat", &message, Some(key)).verdict)
    };
    let raw = decode(json_128, "json/utf-8/cipher+aes-128-cbc/base64", key_128).raw.expect("raw");
    assert_eq!(raw.data, Data::Text(r#"{"example":{"json":"Object"}}"#.into()));
    assert_eq!(raw.encoding.as_deref(), Some("json"));
    let raw = decode(text_128, "utf-8/cipher+aes-128-cbc/base64", key_128).raw.expect("raw");
    assert_eq!(raw.data, Data::Text("The quick brown fox jumped over the lazy dog".into()));
    assert_eq!(raw.encoding, None);
    let message = decode(json_256, "json/utf-8/cipher+aes-256-cbc/base64", key_256);
    assert_eq!((message.text.as_str(), message.raw), ("256 bits", None));
    // The wrong key, the wrong algorithm, a truncated text: kept, and said what is left to do.
    for (data, encoding, key) in [
        (json_128, "utf-8/cipher+aes-128-cbc/base64", "AAAAAAAAAAAAAAAAAAAAAA=="),
        (json_128, "utf-8/cipher+aes-256-cbc/base64", key_128),
        (json_128, "utf-8/cipher+aes-128-cbc/base64", key_256),
        ("HO4cYSP8", "utf-8/cipher+aes-128-cbc/base64", key_128),
        ("HO4cYSP8LybPYBPZPHQOtg==", "utf-8/cipher+aes-128-cbc/base64", key_128),
    ] {
        let raw = decode(data, encoding, key).raw.expect("raw");
        assert_eq!(raw.encoding.as_deref(), encoding.strip_suffix("/base64"), "{data}");
        assert!(matches!(raw.data, Data::Bytes(_)));
    }
}

/// A message whose `data` is what a 128-bit key made of `plain`.
fn sealed(plain: &[u8], rest: &str, key: [u8; 16]) -> (Value, Vec<u8>, String) {
    let iv = [7; 16];
    let encryptor = cbc::Encryptor::<aes::Aes128>::new(&key.into(), &iv.into());
    let sealed = [&iv[..], &encryptor.encrypt_padded_vec::<Pkcs7>(plain)].concat();
    let encoding = format!("{rest}cipher+aes-128-cbc");
    let data = BASE64_STANDARD.encode(&sealed);
    let message = chat(&json!({"data": data, "encoding": format!("{encoding}/base64")}));
    (message, sealed, encoding)
}

fn with_key(message: &Value, key: [u8; 16]) -> ChatMessage {
    version_of(decode_in("r::$chat", message, Some(&BASE64_STANDARD.encode(key))).verdict)
}

/// A padding that is right by chance: what comes out is noise.
#[test]
fn regression_a_wrong_key_destroyed_one_ciphertext_in_256() {
    let noise = [0xde, 0xad, 0xbe, 0xef];
    for rest in ["json/utf-8/", "utf-8/", "json/", ""] {
        let (message, ciphertext, encoding) = sealed(&noise, rest, [1; 16]);
        let raw = with_key(&message, [1; 16]).raw.expect("the ciphertext");
        assert_eq!((raw.data, raw.encoding), (Data::Bytes(ciphertext), Some(encoding)), "{rest}");
    }
    let (message, ciphertext, encoding) = sealed(b"no JSON", "json/utf-8/", [1; 16]);
    let raw = with_key(&message, [1; 16]).raw.expect("the ciphertext");
    assert_eq!((raw.data, raw.encoding), (Data::Bytes(ciphertext), Some(encoding)));
}

#[test]
fn regression_a_cipher_key_in_url_safe_base64_was_refused() {
    let key = [0xfb; 16];
    let standard = BASE64_STANDARD.encode(key);
    let url_safe = standard.replace('+', "-").replace('/', "_");
    assert!(standard.contains('+') && standard.contains('/'), "{standard}");
    assert_eq!(CipherKey::from_base64(&url_safe), CipherKey::from_base64(&standard));
    let unpadded = url_safe.trim_end_matches('=');
    assert_eq!(CipherKey::from_base64(unpadded), CipherKey::from_base64(&standard));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_key_changes_nothing_of_a_ciphertext_that_it_does_not_decode(
        plain in proptest::collection::vec(any::<u8>(), 0..40),
        text in any::<String>(),
        (made, tried) in any::<([u8; 16], [u8; 16])>(),
        rest in proptest::sample::select(&["json/utf-8/", "utf-8/", "json/", "", "rot13/"][..]),
    ) {
        for key in [made, tried] {
            // Whatever the bytes, their padding is right; and bytes that are no ciphertext of this
            // key's.
            let (message, ciphertext, encoding) = sealed(&plain, rest, made);
            let message = with_key(&message, key);
            if let Some(raw) = &message.raw && raw.encoding.as_deref() == Some(&encoding) {
                prop_assert_eq!(&raw.data, &Data::Bytes(ciphertext));
            } else {
                let ends_well = rest.contains("utf-8") || rest.contains("json");
                prop_assert!(ends_well && str::from_utf8(&plain).is_ok());
            }
        }
        let payload = json!({"text": text}).to_string();
        let (message, ..) = sealed(payload.as_bytes(), "json/utf-8/", made);
        prop_assert_eq!(with_key(&message, made).text, text);
    }
}
