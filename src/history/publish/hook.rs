//! Somebody who is asked before a message is published (`PUBLISH_HOOK`): a Lambda function or an
//! HTTP server, in the form in which Ably asks before it publishes (Ably docs, "Custom
//! moderation"), so that a function written for that will do.

use std::time::Duration;

use aws_config::SdkConfig;
use axum::http::header;
use reqwest::Url;
use serde::Serialize;
use tokio::time::timeout;

use crate::aws::lambda::{FunctionArn, Invoker};
use crate::chat::RoomName;
use crate::history::publish::body::Content;
use crate::history::publish::verdict::Verdict;
use crate::mistake::Mistake;
use crate::time::now;

/// How long it may take to answer: the caller waits, and so does Ably's own answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is read of its answer: several times what Ably takes for a message.
const MOST_BYTES: usize = 1_024 * 1_024;
/// What a request says where Ably has the id of its own rule.
const RULE_ID: &str = "ably-chat-history";

/// Where the hook is: the ARN of a Lambda function, or a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAddress {
    /// A Lambda function.
    Function(FunctionArn),
    /// An https URL, or an http URL of this machine.
    Url(String),
}

impl HookAddress {
    /// Reads the setting.
    ///
    /// # Errors
    /// When it is neither, or messages would travel in the clear.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        if text.starts_with("arn:") {
            return FunctionArn::parse(text).map(Self::Function);
        }
        let url = Url::parse(text)
            .map_err(|_| Mistake::from("neither a Lambda function's ARN nor a URL"))?;
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => Ok(Self::Url(text.into())),
            "http" if is_local => Ok(Self::Url(text.into())),
            "http" => Err("messages would travel in the clear; use https".into()),
            _ => Err("expected a Lambda function's ARN or an https URL".into()),
        }
    }
}

/// The hook.
#[derive(Debug)]
pub struct Hook {
    client: reqwest::Client,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Function(Box<Invoker>),
    Url(String),
}

/// What a hook is asked (Ably docs, "Custom moderation").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'a str>,
    room: &'a str,
    rule_id: &'static str,
    message: Message<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(flatten)]
    content: Content,
}

impl Hook {
    /// Asks at this address, Lambda with the credentials of `config`.
    ///
    /// # Errors
    /// When this machine's root certificates cannot be read.
    pub fn new(address: HookAddress, config: SdkConfig) -> Result<Self, Mistake> {
        // Whoever installed one first has chosen for the process.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|error| Mistake(error.to_string()))?;
        let target = match address {
            HookAddress::Function(arn) => Target::Function(Box::new(Invoker::new(arn, config))),
            HookAddress::Url(url) => Target::Url(url),
        };
        Ok(Self { client, target })
    }

    /// Asks about a content.
    ///
    /// # Errors
    /// When there is no answer that can be read; why, without anything that was said.
    pub(super) async fn ask(
        &self,
        room: &RoomName,
        app_id: Option<&str>,
        client_id: Option<&str>,
        content: &Content,
    ) -> Result<Verdict, String> {
        let question = Question {
            source: "channel.message",
            app_id,
            room: &room.0,
            rule_id: RULE_ID,
            message: Message { client_id, content: content.whole() },
        };
        let body = serde_json::to_vec(&question).expect("texts and JSON are JSON");
        let answer = timeout(PATIENCE, self.send(body)).await;
        let answer = answer.map_err(|_| format!("no answer within {PATIENCE:?}"))??;
        match self.target {
            Target::Function(_) => Verdict::of_function(&answer),
            Target::Url(_) => Verdict::read(&answer),
        }
    }

    async fn send(&self, body: Vec<u8>) -> Result<Vec<u8>, String> {
        let request = match &self.target {
            Target::Url(url) => self.client.post(url),
            Target::Function(invoker) => {
                let signed = invoker.sign(&body, now()).await?;
                let request = self.client.post(signed.url);
                signed.headers.into_iter().fold(request, |it, (name, value)| it.header(name, value))
            }
        };
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        if !response.status().is_success() {
            return Err(format!("it answered with status {}", response.status().as_u16()));
        }
        // Lambda's way to say that the function has failed ("Invoke": 200 all the same).
        if response.headers().contains_key("x-amz-function-error") {
            return Err("the function failed".into());
        }
        read(response).await
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_BYTES => {
                return Err("its answer is too large".into());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(error.without_url().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_functions_or_safe() {
        let is_url = |text: &str| matches!(HookAddress::parse(text), Ok(HookAddress::Url(_)));
        assert!(is_url("https://x.example/a?b") && is_url("http://127.0.0.1:1/"));
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:f";
        assert!(matches!(HookAddress::parse(arn), Ok(HookAddress::Function(_))));
        let mistake = |text: &str| HookAddress::parse(text).unwrap_err().0;
        assert!(mistake("http://x.example").contains("in the clear"));
        assert!(mistake("f").contains("neither") && mistake("ftp://x").contains("expected"));
        assert!(mistake("arn:aws:s3:::b").contains("not of a Lambda function"));
    }
}
