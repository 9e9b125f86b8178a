//! Who may send webhooks, and why a request is not taken in.

use std::borrow::Cow;

use crate::ably::{WebhookKeys, WebhookTokens};
use crate::aws::secret::{Secret, SecretError};
use crate::lambda::http::Request;

/// The header whose value is `WEBHOOK_TOKEN`.
const TOKEN_HEADER: &str = "x-webhook-token";
/// The headers of a signed request (Ably docs "Outbound webhooks", Security).
const KEY_HEADER: &str = "x-ably-key";
const SIGNATURE_HEADER: &str = "x-ably-signature";

/// What identifies a webhook of ours. With neither, all are refused.
#[derive(Debug, Default)]
pub struct WebhookAuth {
    /// `WEBHOOK_KEYS`.
    pub keys: Option<Secret<WebhookKeys>>,
    /// `WEBHOOK_TOKEN`.
    pub token: Option<Secret<WebhookTokens>>,
}

/// Why a request is not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// For the log.
    pub(super) reason: Cow<'static, str>,
    /// For the sender, who may be anybody.
    pub(super) message: &'static str,
    /// Whether it is authenticated, and its rule is wrong.
    is_of_rule: bool,
}

impl Refusal {
    fn unauthorized(reason: &'static str) -> Self {
        Self::new(401, "not authenticated").because(reason)
    }

    fn other_app(signer: &str, expected: &str) -> Self {
        let reason = format!(
            "the request is signed by a key of the Ably app {signer:?} and this table is for \
             {expected:?} (ABLY_APP_ID): sign with a key of that app, and take the other out of \
             WEBHOOK_KEYS"
        );
        let message = "signed by a key of another Ably app than the one that is exported here";
        Self { is_of_rule: true, ..Self::new(400, message).because(reason) }
    }

    pub(super) fn new(status: u16, message: &'static str) -> Self {
        Self { status, reason: message.into(), message, is_of_rule: false }
    }

    fn because(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    /// What the metric `Refused` calls it. `rule` is another: a rule that is authenticated and
    /// wrong.
    pub(super) fn kind(&self) -> &'static str {
        match self.status {
            // Whoever signed it has a key of ours: the rule is, and it is wrong.
            _ if self.is_of_rule => "rule",
            401 => "authentication",
            405 => "method",
            503 => "secret",
            _ => "body",
        }
    }
}

impl WebhookAuth {
    /// Whether the request is from a rule of ours. One that is signed must be signed right, by a
    /// key of the app `app_id` if that is set: items of a batch do not say whose they are. One that
    /// is not signed must have the token.
    pub(super) async fn admit(
        &self,
        request: &Request<'_>,
        body: &[u8],
        app_id: Option<&str>,
    ) -> Result<(), Refusal> {
        let unreadable = |error: SecretError| {
            let message = "the secret that authenticates webhooks cannot be read";
            Refusal::new(503, message).because(error.to_string())
        };
        let key_name = request.header(KEY_HEADER).unwrap_or_default();
        match (request.header(SIGNATURE_HEADER), request.header(TOKEN_HEADER)) {
            _ if self.keys.is_none() && self.token.is_none() => Err(Refusal::unauthorized(
                "neither WEBHOOK_KEYS nor WEBHOOK_TOKEN is set, so every webhook is refused",
            )),
            (Some(signature), _) if let Some(keys) = &self.keys => {
                let signer = |keys: &WebhookKeys| {
                    keys.app_of_signer(key_name, signature, body).map(ToOwned::to_owned)
                };
                match (keys.find(signer).await.map_err(unreadable)?, app_id) {
                    (Some(signer), Some(expected)) if signer != expected => {
                        Err(Refusal::other_app(&signer, expected))
                    }
                    (Some(_), _) => Ok(()),
                    (None, _) => Err(Refusal::unauthorized(
                        "X-Ably-Signature is not that of the body by a key of WEBHOOK_KEYS",
                    )),
                }
            }
            (_, Some(given)) if let Some(token) = &self.token => {
                let is_known = |tokens: &WebhookTokens| tokens.contain(given);
                match token.check(is_known).await.map_err(unreadable)? {
                    true => Ok(()),
                    false => Err(Refusal::unauthorized("X-Webhook-Token is not WEBHOOK_TOKEN")),
                }
            }
            (Some(_), _) => Err(Refusal::unauthorized(
                "X-Ably-Signature is there, but WEBHOOK_KEYS is not set to verify it",
            )),
            (None, _) => Err(Refusal::unauthorized(
                "neither X-Ably-Signature, which Ably adds to batched requests whose rule has a \
                 signing key, nor X-Webhook-Token, which the rule's headers can add to any",
            )),
        }
    }
}
