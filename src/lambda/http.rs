//! An HTTP request as a function URL, API Gateway (HTTP and REST API) or a load balancer hands it
//! to a function, and the answer in the form that its front end takes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use serde::{Deserialize, Serialize};

use crate::ably::BASE64;

/// What the four front ends' events have in common.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a> {
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

/// The header by which a load balancer identifies requests.
const TRACE_HEADER: &str = "x-amzn-trace-id";

impl<'a> Request<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// When its members are not as AWS documents them.
    pub(crate) fn read(event: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(event)
    }

    /// The method, where the front end says.
    pub(crate) fn method(&self) -> Option<&str> {
        let http = self.request_context.http.as_ref().map(|http| &http.method);
        http.or(self.http_method.as_ref()).map(String::as_str)
    }

    /// The body's bytes.
    ///
    /// # Errors
    /// When it should be base64 and is not.
    pub(crate) fn body(&self) -> Result<Vec<u8>, base64::DecodeError> {
        match (self.body.as_deref(), self.is_base64_encoded) {
            (Some(body), Some(true)) => BASE64.decode(body),
            (body, _) => Ok(body.unwrap_or_default().into()),
        }
    }

    /// When the front end took it in: ms since the epoch; load balancers do not say.
    pub(crate) fn received_at(&self) -> Option<i64> {
        self.request_context.time_epoch.or(self.request_context.request_time_epoch)
    }

    /// What the front end calls the request.
    pub(crate) fn id(&self) -> Option<&str> {
        self.request_context.request_id.as_deref().or_else(|| self.header(TRACE_HEADER))
    }

    /// A header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let single = self.headers.iter().flatten().map(|(found, value)| (found, value.as_ref()));
        let multi = self.multi_value_headers.iter().flatten();
        let multi = multi.filter_map(|(found, values)| Some((found, values.first()?.as_str())));
        let mut all = single.chain(multi);
        all.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Answers with JSON.
    pub(crate) fn respond(&self, status_code: u16, body: String) -> Response {
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
}
