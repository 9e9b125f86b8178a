//! How Ably shows that a webhook is its own: a signature, or a header that only its rule knows.
//! Ably signs batched requests only (Ably docs "Outbound webhooks", Security).

use std::fmt;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::ably::encoding::BASE64;
use crate::mistake::Mistake;

/// Fewer characters than this could be guessed.
const MIN_TOKEN_CHARS: usize = 16;

/// API keys that may have signed a webhook: several, so that one can take another's place while
/// requests come in. `Debug` hides their secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookKeys(Vec<WebhookKey>);

#[derive(Clone, PartialEq, Eq)]
struct WebhookKey {
    app_id: String,
    key_id: String,
    secret: String,
}

impl WebhookKeys {
    /// Reads `APPID.KEYID:SECRET`, any number of them, separated by commas or white space.
    ///
    /// # Errors
    /// When there is none, or one is something else; the error does not quote it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let keys = words(text).map(|key| WebhookKey::parse(key).ok_or(key));
        match keys.collect::<Result<Vec<_>, _>>() {
            Ok(keys) if !keys.is_empty() => Ok(Self(keys)),
            _ => Err("expected Ably API keys, APPID.KEYID:SECRET, separated by commas".into()),
        }
    }

    /// The app of the key that signed `body` with `signature` (the header `X-Ably-Signature`), if
    /// it is the one that `key_name` (`X-Ably-Key`) names. Ably's documents call the name a key id;
    /// deployed verifiers show `APPID.KEYID` as well as `KEYID`: both are taken.
    #[must_use]
    pub fn app_of_signer(&self, key_name: &str, signature: &str, body: &[u8]) -> Option<&str> {
        let signature = BASE64.decode(signature.trim()).ok()?;
        // How long the search takes may tell key ids, which are not secret.
        let mut named = self.0.iter().filter(|key| key.is_named(key_name.trim()));
        named.find(|key| key.has_signed(&signature, body)).map(|key| key.app_id.as_str())
    }
}

impl WebhookKey {
    fn parse(text: &str) -> Option<Self> {
        let (name, secret) = text.split_once(':')?;
        let (app_id, key_id) = name.split_once('.')?;
        let is_whole = [app_id, key_id, secret].iter().all(|part| !part.is_empty());
        is_whole.then(|| Self {
            app_id: app_id.into(),
            key_id: key_id.into(),
            secret: secret.into(),
        })
    }

    fn is_named(&self, name: &str) -> bool {
        match name.split_once('.') {
            Some((app_id, key_id)) => app_id == self.app_id && key_id == self.key_id,
            None => name == self.key_id,
        }
    }

    fn has_signed(&self, signature: &[u8], body: &[u8]) -> bool {
        is_signed(&self.secret, body, signature)
    }
}

/// Whether an API key with this secret signed the bytes: HMAC-SHA-256, compared in constant time.
/// Its key is the secret's text, not what it would be from base64 (Ably docs, "JWTs").
pub(crate) fn is_signed(secret: &str, bytes: &[u8], signature: &[u8]) -> bool {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("HMAC takes a key of any length");
    mac.update(bytes);
    mac.verify_slice(signature).is_ok()
}

impl fmt::Debug for WebhookKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| format!("{}.…", key.app_id))).finish()
    }
}

/// Values of the secret header that authenticates what Ably does not sign: several, so that one can
/// take another's place. `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookTokens(Vec<String>);

impl WebhookTokens {
    /// Reads tokens of 16 characters or more, separated by commas or white space.
    ///
    /// # Errors
    /// When there is none, or one is too short.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let tokens: Vec<_> = words(text).map(ToOwned::to_owned).collect();
        if tokens.is_empty() || tokens.iter().any(|token| token.chars().count() < MIN_TOKEN_CHARS) {
            return Err(format!("expected {MIN_TOKEN_CHARS} characters or more").into());
        }
        Ok(Self(tokens))
    }

    /// Whether `token` is one of them; takes as long whichever it is.
    #[must_use]
    pub fn contain(&self, token: &str) -> bool {
        let token = token.trim().as_bytes();
        let equals = self.0.iter().map(|known| known.as_bytes().ct_eq(token));
        equals.fold(subtle::Choice::from(0), |any, equal| any | equal).into()
    }
}

impl fmt::Debug for WebhookTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookTokens({})", self.0.len())
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty())
}
