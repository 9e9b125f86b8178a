//! Webhooks: a function URL, API Gateway (HTTP and REST API) or a load balancer in front of the
//! function. One status answers for the whole body: 2xx for "stored or parked", 5xx for "send it
//! again", 4xx for what sending again cannot fix, of which Ably sends nothing again.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exporter::event::Incoming;
use crate::exporter::source::{Answer, Arrival, Failed, Refused, Reply, Source, Taken};
use crate::exporter::webhook_auth::{Refusal, WebhookAuth};
use crate::ingest::delivery::{self, Delivery, OnPermanentFailure, Order, Unreadable};
use crate::ingest::outcome::{Disposition, ErrorType, Outcome};
use crate::lambda::http::Request;
use crate::logs::short;

pub(super) const SOURCE: Source = Source {
    name: "http",
    sent: |event| {
        let has_method = event.shape.http_method.is_some();
        event.shape.request_context.is_some_and(|context| has_method || is_http(context))
    },
    read,
};

/// Ably waits 15 s for a webhook's answer, and then sends it again.
const PATIENCE: Duration = Duration::from_secs(14);

/// Whether a request context is that of payload format 2.0 (function URL, HTTP API). A failed
/// invocation's record has a context too.
fn is_http(context: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Context<'a> {
        #[serde(borrow)]
        http: Option<&'a RawValue>,
    }
    serde_json::from_str::<Context<'_>>(context.get()).is_ok_and(|context| context.http.is_some())
}

/// Takes a request apart. Ably's batches name their items; anything else is identified by the
/// request that brought it. If Ably sends it again, that is another one: a snapshot of reactions is
/// then kept twice. Identified by its content, one that came, went and came again would be lost.
fn read<'a>(event: &Incoming<'a>, arrival: &Arrival<'_>) -> Result<Taken<'a>, Unreadable> {
    let request = Request::read(event.raw).map_err(|_| {
        Unreadable::from("an HTTP request whose members are not as AWS documents them")
    })?;
    let received_at = request.received_at().unwrap_or(arrival.received_at);
    let body = request.body().map(Cow::Owned);
    let body = body.map_err(|_| Unreadable::from("the body is not base64"));
    let content = body.as_deref().unwrap_or_default();
    let id = request.id().map(|id| short(id).to_owned());
    let delivery = Delivery {
        source: SOURCE.name,
        source_arn: None,
        id: delivery::id_of_arrival(id, content, received_at, 0),
        received_at,
        is_redelivery: false,
        body,
        raw: "",
        on_permanent_failure: OnPermanentFailure::ParkUnlessWrongRule,
        order: Order::Free,
    };
    Ok(Taken { deliveries: vec![delivery], reply: Box::new(request) })
}

impl Reply for Request<'_> {
    fn admit<'a>(
        &'a self,
        deliveries: &'a [Delivery<'_>],
        auth: &'a WebhookAuth,
        app_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            let body = deliveries.first().and_then(|delivery| delivery.body.as_deref().ok());
            let admitted = match body {
                _ if self.method() != Some("POST") => {
                    Err(Refusal::new(405, "only POST is taken here"))
                }
                None => Err(Refusal::new(400, "the body is not base64")),
                Some(body) => auth.admit(self, body, app_id).await,
            };
            admitted.map_err(|refusal| {
                let body = serde_json::json!({ "error": refusal.message }).to_string();
                let answer = Answer::Response(self.respond(refusal.status, body));
                Refused { refusal, answer }
            })
        })
    }

    fn patience(&self) -> Option<Duration> {
        Some(PATIENCE)
    }

    fn refuses_rule(&self, ended: &[Outcome]) -> bool {
        let is_wrong = |Outcome { disposition, report }: &Outcome| {
            *disposition == Disposition::HandedBack && report.is_wrong_rule
        };
        ended.iter().any(is_wrong)
    }

    fn answer(&self, _: &[Delivery<'_>], ended: Vec<Outcome>) -> Result<Answer, Failed> {
        let is_refused = self.refuses_rule(&ended);
        let Some(Outcome { disposition, report }) = ended.into_iter().next() else {
            return Err(Failed::new(Default::default()));
        };
        let status = match (disposition, report.error_type()) {
            (Disposition::Done | Disposition::Parked, _) => 200,
            (Disposition::HandedBack, _) if is_refused => 400,
            (Disposition::HandedBack, Some(ErrorType::NonRetryable)) => 500,
            (Disposition::HandedBack, Some(ErrorType::Retryable) | None) => 503,
        };
        let body = serde_json::to_string(&report).expect("a report has string keys");
        Ok(Answer::Response(self.respond(status, body)))
    }
}
