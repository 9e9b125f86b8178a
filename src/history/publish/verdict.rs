//! What a hook answers (Ably docs, "Custom moderation").

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::history::error::ApiError;
use crate::history::publish::body::Content;

/// What a hook says of a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may be published.
    Accept,
    /// This may, in its stead.
    Replace(Content),
    /// It may not; what the hook says of that goes to the caller.
    Reject(Option<Box<RawValue>>),
}

impl Verdict {
    /// Reads what a Lambda function answers: `{"statusCode":200,"body":"<JSON>"}`.
    pub(super) fn of_function(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            status_code: u16,
            body: String,
        }
        match object::<Answer>(json) {
            Some(Answer { status_code: 200..=299, body }) => Self::read(body.as_bytes()),
            Some(Answer { status_code, .. }) => {
                Err(format!("it answered with status {status_code}"))
            }
            // As the same function answers by a URL.
            None => Self::read(json),
        }
    }

    /// Reads what is answered: `{"action":"accept"}`, with a `message` or without, or
    /// `{"action":"reject","rejectionDetail":{…}}`.
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            action: String,
            message: Option<Box<RawValue>>,
            rejection_detail: Option<Box<RawValue>>,
        }
        let answer: Answer = object(json).ok_or("its answer is not of the form that Ably takes")?;
        match (answer.action.as_str(), answer.message) {
            ("accept", None) => Ok(Self::Accept),
            ("accept", Some(message)) => {
                let content = object::<Content>(message.get().as_bytes());
                let content = content.filter(|it| it.text.is_some());
                content.map(Self::Replace).ok_or_else(|| "its message is none".into())
            }
            ("reject", _) => Ok(Self::Reject(answer.rejection_detail)),
            _ => Err("it answered neither accept nor reject".into()),
        }
    }

    /// Why a rejected message is not published.
    pub(super) fn rejection(detail: Option<Box<RawValue>>) -> ApiError {
        let error = ApiError::new(422, 42_211, "refused by the hook of this server");
        ApiError { detail, ..error }
    }
}

/// Reads an object. Serde would take an array for one too, member by member.
fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().first() == Some(&b'{');
    is_object.then(|| serde_json::from_slice(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> String {
        match Verdict::read(json.as_bytes()) {
            Ok(Verdict::Accept) => "accept".into(),
            Ok(Verdict::Replace(content)) => serde_json::to_string(&content).unwrap(),
            Ok(Verdict::Reject(detail)) => {
                format!("reject {:?}", detail.as_deref().map(RawValue::get))
            }
            Err(reason) => format!("error: {reason}"),
        }
    }

    #[test]
    fn every_answer_is_understood() {
        assert_eq!(read(r#"{"action":"accept"}"#), "accept");
        assert_eq!(read(r#"{"action":"accept","message":null,"more":1}"#), "accept");
        let replaced =
            r#"{"action":"accept","message":{"clientId":"x","text":"b","metadata":{"a": 1}}}"#;
        assert_eq!(read(replaced), r#"{"text":"b","metadata":{"a": 1}}"#);
        assert_eq!(read(r#"{"action":"reject"}"#), "reject None");
        let rejected = r#"{"action":"reject","rejectionDetail":{"why":"rude"}}"#;
        assert_eq!(read(rejected), r#"reject Some("{\"why\":\"rude\"}")"#);
    }

    #[test]
    fn nonsense_is_no_answer() {
        for json in [
            "",
            "null",
            r#"["accept"]"#,
            "{}",
            r#"{"action":"Accept"}"#,
            r#"{"action":"accept","message":{}}"#,
            r#"{"action":"accept","message":["b"]}"#,
            r#"{"action":"accept","message":{"text":7}}"#,
            r#"{"action":"accept","action":"reject"}"#,
        ] {
            assert!(read(json).starts_with("error: "), "{json}");
        }
    }

    #[test]
    fn a_function_answers_as_to_a_gateway() {
        let of = |json: &str| Verdict::of_function(json.as_bytes());
        assert!(matches!(
            of(r#"{"statusCode":200,"body":"{\"action\":\"accept\"}"}"#),
            Ok(Verdict::Accept)
        ));
        assert!(matches!(of(r#"{"action":"reject"}"#), Ok(Verdict::Reject(None))));
        assert!(of(r#"{"statusCode":500,"body":"{\"action\":\"accept\"}"}"#).is_err());
        assert!(of(r#"{"statusCode":200,"body":"x"}"#).is_err());
        assert!(of("null").is_err());
    }
}
