//! Tokens and headers that nobody made: an answer, never a panic, and nobody is let in.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::*;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

/// Headers and claims that are nearly right.
const HEADER: &str = r#"\{("alg":"HS256",)?("kid":"app.one")?.{0,20}\}?"#;
const CLAIMS: &str =
    r#"\{"iat":1800000000,"exp":180000[0-9]{4}(.{0,40}|,"x-ably-capability":".{0,9}")\}"#;
const CAPABILITY: &str =
    r#"(\{"(\*|\[\*\]\*|r|support:\*|r::\$chat)":\["(\*|history)"\]\}|.{0,20})"#;

fn is_admitted(sent: &Sent) -> bool {
    let gate = gate(KEYS, Some("app"), true);
    RUNTIME.block_on(sent.through(&gate, None, NOW * 1_000)).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(32..=255_u8, 0..300), form in 0..4_u8) {
        let mut sent = Sent::new("");
        let value = match form {
            0 => noise,
            1 => [b"Bearer ", &noise[..]].concat(),
            2 => format!("Bearer {}", STANDARD.encode(noise)).into_bytes(),
            _ => format!("Basic {}", STANDARD.encode(noise)).into_bytes(),
        };
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            sent.headers.insert("authorization", value.clone());
            sent.headers.insert("x-ably-clientid", value);
            prop_assert!(!is_admitted(&sent));
        }
    }

    /// Any JSON in the parts, signed by somebody else.
    #[test]
    fn parts_of_anything_are_refused(
        header in HEADER,
        claims in CLAIMS,
        signature in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let parts = [header.as_bytes(), claims.as_bytes(), &signature];
        let parts = parts.map(|part| URL_SAFE_NO_PAD.encode(part));
        prop_assert!(!is_admitted(&Sent::bearer(&parts.join("."))));
    }

    /// One character of a good token is another.
    #[test]
    fn a_changed_token_is_refused(
        at in 0..400_usize,
        other in "[A-Za-z0-9+/=._ -]",
        in_base64: bool,
    ) {
        let good = token(&json!({"x-ably-clientId": "bob"}));
        let mut text: Vec<char> = good.chars().collect();
        let at = at % text.len();
        text[at] = other.chars().next().unwrap_or('A');
        let changed: String = text.into_iter().collect();
        prop_assume!(changed != good && !is_same(&changed, &good));
        let value = if in_base64 { STANDARD.encode(&changed) } else { changed };
        prop_assert!(!is_admitted(&Sent::bearer(&value)));
    }

    /// Rights never grow by what a token says: those of its key are the most.
    #[test]
    fn a_token_never_has_more_than_its_key(capability in CAPABILITY) {
        let claims = claims(&json!({"x-ably-capability": capability}));
        let sent = Sent::bearer(&sign(&header("app.two"), &claims, "s3cret-two"));
        prop_assert!(!is_admitted(&sent));
    }
}

/// What the others change is let in as it is.
#[test]
fn a_good_token_is_admitted() {
    let good = token(&json!({"x-ably-clientId": "bob"}));
    assert!(is_admitted(&Sent::bearer(&good)));
    assert!(is_admitted(&Sent::bearer(&STANDARD.encode(good))));
}

/// Whether two tokens differ in the signature's alphabet or padding alone.
fn is_same(one: &str, other: &str) -> bool {
    let parts = |token: &str| {
        let (text, signature) = token.rsplit_once('.')?;
        Some((text.to_owned(), super::super::encoding::decode(signature)?))
    };
    parts(one).is_some_and(|it| Some(it) == parts(other))
}
