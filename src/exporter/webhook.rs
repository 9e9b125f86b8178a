//! Webhooks: a function URL, API Gateway (HTTP and REST API) or a load balancer in front of the
//! function. One status answers for the whole body: 2xx for "stored or parked", 5xx for "send it
//! again", 4xx for what sending again cannot mend, of which Ably sends nothing again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use serde::{Deserialize, Serialize};

use crate::ably::{BASE64, WebhookKeys, WebhookTokens};
use crate::delivery::{self, Delivery, Fate, IfRefused, Order};
use crate::ingest::{ErrorType, Report};
use crate::logs::short;
use crate::secret::Secret;

/// The header whose value is `WEBHOOK_TOKEN`.
const TOKEN_HEADER: &str = "x-webhook-token";
/// The headers of a signed request (Ably docs "Outbound webhooks", Security).
const KEY_HEADER: &str = "x-ably-key";
const SIGNATURE_HEADER: &str = "x-ably-signature";
/// The header by which a load balancer tells requests apart.
const TRACE_HEADER: &str = "x-amzn-trace-id";

/// How webhooks are told from anybody's requests. With neither, all are refused.
#[derive(Debug, Default)]
pub struct WebhookAuth {
    /// `WEBHOOK_KEYS`.
    pub keys: Option<Secret<WebhookKeys>>,
    /// `WEBHOOK_TOKEN`.
    pub token: Option<Secret<WebhookTokens>>,
}

/// What the four front ends' events have in common.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    http_method: Option<String>,
    #[serde(borrow)]
    headers: Option<BTreeMap<String, Cow<'a, str>>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
    request_context: Context,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    http: Option<Http>,
    /// Function URL and HTTP API, in ms since the epoch.
    time_epoch: Option<i64>,
    /// REST API, likewise.
    request_time_epoch: Option<i64>,
    /// All but load balancers.
    request_id: Option<String>,
    elb: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Http {
    method: String,
}

/// The answer, in the form that the request's front end takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    /// Load balancers only; the REST API refuses members that it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'static str, &'static str>>,
    /// A load balancer that sends headers in this form wants them so.
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<&'static str, [&'static str; 1]>>,
    body: String,
    is_base64_encoded: bool,
}

/// Why a request is not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// For the log.
    pub(super) reason: Cow<'static, str>,
    /// For the sender, who may be anybody.
    message: &'static str,
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

    fn new(status: u16, message: &'static str) -> Self {
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
    async fn admit(
        &self,
        request: &Request<'_>,
        body: &[u8],
        app_id: Option<&str>,
    ) -> Result<(), Refusal> {
        let unreadable = |reason: String| {
            let message = "the secret that authenticates webhooks cannot be read";
            Refusal::new(503, message).because(reason)
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

impl<'a> Request<'a> {
    pub(super) fn read(event: &'a str) -> Result<Self, String> {
        serde_json::from_str(event)
            .map_err(|_| "an HTTP request whose members are not as AWS documents them".into())
    }

    /// The body, once the request is known to be from a rule of ours; else why it is not taken in.
    pub(super) async fn admitted(
        &self,
        auth: &WebhookAuth,
        app_id: Option<&str>,
    ) -> Result<Vec<u8>, Refusal> {
        let context = &self.request_context;
        let method = context.http.as_ref().map(|http| &http.method).or(self.http_method.as_ref());
        if method.is_none_or(|method| method != "POST") {
            return Err(Refusal::new(405, "only POST is taken here"));
        }
        let body = match (self.body.as_deref(), self.is_base64_encoded) {
            (Some(body), Some(true)) => BASE64.decode(body),
            (body, _) => Ok(body.unwrap_or_default().into()),
        };
        let body = body.map_err(|_| Refusal::new(400, "the body is not base64"))?;
        auth.admit(self, &body, app_id).await?;
        Ok(body)
    }

    /// The request's body on its way in. Ably's batches name their items; anything else is
    /// identified by the request that brought it. If Ably sends it again, that is another one: a
    /// snapshot of reactions is then kept twice. Identified by its content, one that came, went and
    /// came again would be lost.
    pub(super) fn delivery(&self, body: &'a [u8], received_at: i64) -> Delivery<'a> {
        let context = &self.request_context;
        let received_at = context.time_epoch.or(context.request_time_epoch).unwrap_or(received_at);
        let request = context.request_id.as_deref().or_else(|| self.header(TRACE_HEADER));
        Delivery {
            source: "http",
            source_arn: None,
            id: delivery::id_of_arrival(request.map(|id| short(id).into()), body, received_at, 0),
            received_at,
            body: Ok(Cow::Borrowed(body)),
            raw: "",
            if_refused: IfRefused::ParkUnlessWrongRule,
            order: Order::Free,
        }
    }

    pub(super) fn refuse(&self, refusal: &Refusal) -> Response {
        let body = serde_json::json!({ "error": refusal.message });
        self.respond(refusal.status, body.to_string())
    }

    pub(super) fn answer(&self, report: &Report, fate: Fate) -> Response {
        let status = match (fate, report.error_type()) {
            (Fate::Done | Fate::Parked, _) => 200,
            (Fate::Failed, _) if report.is_wrong_rule => 400,
            (Fate::Failed, Some(ErrorType::NonRetryable)) => 500,
            (Fate::Failed, Some(ErrorType::Retryable) | None) => 503,
        };
        let body = serde_json::to_string(report).expect("a report has string keys");
        self.respond(status, body)
    }

    fn respond(&self, status_code: u16, body: String) -> Response {
        let mut headers = BTreeMap::from([("content-type", "application/json")]);
        if status_code == 405 {
            headers.insert("allow", "POST");
        }
        let is_multi_value = self.headers.is_none() && self.multi_value_headers.is_some();
        let is_load_balancer = self.request_context.elb.is_some();
        let reason = match status_code {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            405 => "Method Not Allowed",
            500 => "Internal Server Error",
            _ => "Service Unavailable",
        };
        let multi = |headers: &BTreeMap<_, _>| headers.iter().map(|(n, v)| (*n, [*v])).collect();
        Response {
            status_code,
            status_description: is_load_balancer.then(|| format!("{status_code} {reason}")),
            multi_value_headers: is_multi_value.then(|| multi(&headers)),
            headers: (!is_multi_value).then_some(headers),
            body,
            is_base64_encoded: false,
        }
    }

    /// A header, whatever the case of its name.
    fn header(&self, name: &str) -> Option<&str> {
        let single = self.headers.iter().flatten().map(|(found, value)| (found, value.as_ref()));
        let multi = self.multi_value_headers.iter().flatten();
        let multi = multi.filter_map(|(found, values)| Some((found, values.first()?.as_str())));
        let mut all = single.chain(multi);
        all.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
