//! What Ably's Chat REST API answers to a publish, in the form in which it delivers messages: so
//! that what takes deliveries in, and what redrives them, takes it in too.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::ably::error::{MessageError, PayloadError};
use crate::ably::fetched::{Fetched, chat_message};
use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::ably::members::Members;
use crate::ably::{msgpack, room};
use crate::chat::{Action, ChatMessage, Data, JsonText, RoomName, Serial};

/// A published message.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The message.
    pub serial: Serial,
    /// Its version.
    pub version: Serial,
    /// An event of an integration rule that delivers it (Ably docs, "Outbound webhooks").
    pub envelope: String,
}

/// Puts a message of the Chat REST API v4 into the envelope in which an integration rule delivers
/// it. Decoded, it is the message that [`chat_message`] reads, but for members that say something
/// of a connection in the other form (`id`, `connectionId`), and for a null where a member comes
/// twice.
///
/// # Errors
/// When it is no whole message: what is stored of a version stays, so that half of one would keep
/// the other half out.
pub fn envelope_of(
    raw: &RawValue,
    room: &RoomName,
    app_id: Option<&str>,
) -> Result<Published, MessageError> {
    check_whole(raw)?;
    let Fetched { message, .. } = chat_message(raw, room)?;
    let app_id = app_id.map(|app_id| format!(r#""appId":{},"#, text(app_id)));
    let envelope = format!(
        r#"{{"source":"channel.message",{}"channel":{},"messages":[{}]}}"#,
        app_id.unwrap_or_default(),
        text(&room::channel_of(room)),
        delivered(&message),
    );
    Ok(Published { serial: message.serial, version: message.version.serial, envelope })
}

/// The JSON of a request's body, whose form its content type says.
///
/// # Errors
/// When it is said to be MessagePack, and is not.
pub fn request_json(body: &[u8], is_msgpack: bool) -> Result<Cow<'_, [u8]>, PayloadError> {
    match is_msgpack {
        true => msgpack::to_json(body).map(Cow::Owned),
        false => Ok(Cow::Borrowed(body)),
    }
}

/// Checks that the members are there without which a message would be stored in part. Chat v3
/// answered with less.
fn check_whole(raw: &RawValue) -> Result<(), MessageError> {
    let path = &Path::Root;
    let mut members = Members::read(raw, path)?;
    let mut check = |name: &'static str, is_right: fn(&RawValue) -> bool| {
        let found = members.take_if(name, |raw| is_right(raw).then_some(()));
        found.ok_or_else(|| Mistyped::new(&path.member(name), "missing, or of another type"))
    };
    check("serial", |raw| json::kind(raw) == Kind::String)?;
    check("text", |raw| json::kind(raw) == Kind::String)?;
    check("action", |raw| matches!(json::kind(raw), Kind::String | Kind::Number))?;
    check("timestamp", |raw| json::whole::<i64>(raw).is_some())?;
    check("version", |raw| {
        let serial = Members::of(raw).and_then(|mut it| it.take_if("serial", json::text));
        serial.is_some_and(|serial| !serial.is_empty())
    })?;
    Ok(())
}

/// The message in the Pub/Sub form (features spec TM2).
fn delivered(message: &ChatMessage) -> String {
    let action = match message.action {
        Action::Create => "0",
        Action::Update => "1",
        Action::Delete => "2",
    };
    let of_version = |name: &str| name.starts_with("version.");
    let aside = message.aside.iter().filter(|(name, _)| !of_version(name));
    object(
        aside.map(|(name, value)| (name.as_str(), value)),
        &[
            ("name", Some(text("chat.message"))),
            ("serial", Some(text(message.serial.as_str()))),
            ("action", Some(action.into())),
            ("timestamp", Some(message.timestamp.to_string())),
            ("clientId", Some(text(&message.client_id))),
            ("version", Some(version(message))),
            ("data", Some(data(message))),
            ("extras", Some(extras(message))),
            ("encoding", None),
            ("annotations", None),
            ("summary", None),
        ],
    )
}

fn version(message: &ChatMessage) -> String {
    let version = &message.version;
    let aside = message.aside.iter();
    let aside = aside.filter_map(|(name, value)| Some((name.strip_prefix("version.")?, value)));
    object(
        aside,
        &[
            ("serial", Some(text(version.serial.as_str()))),
            ("timestamp", Some(version.timestamp.to_string())),
            ("clientId", version.client_id.as_deref().map(text)),
            ("description", version.description.as_deref().map(text)),
            ("metadata", version.metadata.as_ref().map(|it| it.as_str().to_owned())),
        ],
    )
}

/// The payload, with what of it was neither text nor metadata.
fn data(message: &ChatMessage) -> String {
    let own = [
        ("text", Some(text(&message.text))),
        ("metadata", Some(message.metadata.as_str().to_owned())),
    ];
    let own = object(std::iter::empty(), &own);
    let rest = message.raw.as_ref().and_then(|raw| match &raw.data {
        Data::Text(json) => json.strip_prefix('{')?.strip_suffix('}'),
        Data::Bytes(_) => None,
    });
    match rest.filter(|rest| !rest.is_empty()) {
        // Of two members of one name, the last counts, and the other one is kept.
        Some(rest) => format!("{{{rest},{}", own.trim_start_matches('{')),
        None => own,
    }
}

fn extras(message: &ChatMessage) -> String {
    object(
        std::iter::empty(),
        &[
            ("headers", Some(message.headers.as_str().to_owned())),
            ("userClaim", message.user_claim.as_deref().map(text)),
        ],
    )
}

/// An object of members kept aside, and then of its own: where both have a name, the last counts,
/// and the first is kept aside again.
fn object<'a>(
    aside: impl Iterator<Item = (&'a str, &'a JsonText)>,
    own: &[(&'static str, Option<String>)],
) -> String {
    let aside: BTreeMap<&str, &JsonText> = aside.collect();
    let kept = aside.iter().map(|(name, value)| format!("{}:{}", text(name), value.as_str()));
    let own = own.iter().filter_map(|(name, value)| match value {
        Some(value) => Some(format!(r#""{name}":{value}"#)),
        None => aside.contains_key(name).then(|| format!(r#""{name}":null"#)),
    });
    format!("{{{}}}", kept.chain(own).collect::<Vec<_>>().join(","))
}

fn text(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ably::{Decoder, Verdict};
    use crate::chat::ChatEvent;

    const WHOLE: &str = r#""serial":"1-0@a:000","text":"hi","action":"message.create",
        "timestamp":5,"version":{"serial":"1-0@a:000","timestamp":5}"#;

    fn room() -> RoomName {
        RoomName("a::$chat::b/é\"".into())
    }

    fn decoded(json: &str) -> (ChatMessage, ChatMessage) {
        let raw = RawValue::from_string(json.into()).unwrap();
        let expected = chat_message(&raw, &room()).unwrap().message;
        let Published { envelope, serial, version } =
            envelope_of(&raw, &room(), Some("app")).unwrap();
        assert_eq!((&serial, &version), (&expected.serial, &expected.version.serial));
        let decoder = Decoder { app_id: Some("app".into()), cipher_key: None };
        let mut entries = decoder.decode(envelope.as_bytes()).unwrap();
        let [entry] = entries.as_mut_slice() else { panic!("one message") };
        let verdict = std::mem::replace(&mut entry.verdict, Verdict::Skip(crate::ably::Skip::Meta));
        let Verdict::Event(ChatEvent::Version(found, None)) = verdict else {
            panic!("{verdict:?} of {envelope}")
        };
        (*found, expected)
    }

    #[test]
    fn a_message_is_delivered_as_ably_delivers_it() {
        let json = r#"{"serial":"1","clientId":"ana","text":"hi","metadata":{"a":1},
            "headers":{"h":"v"},"timestamp":5,"action":"message.update","userClaim":"vip",
            "version":{"serial":"2","timestamp":6,"clientId":"mod","description":"typo"},
            "reactions":{"unique":{},"distinct":{},"multiple":{}}}"#;
        let raw = RawValue::from_string(json.into()).unwrap();
        let found = envelope_of(&raw, &RoomName("r".into()), None).unwrap();
        let expected = [
            r#"{"source":"channel.message","channel":"r::$chat","messages":["#,
            r#"{"name":"chat.message","serial":"1","action":1,"timestamp":5,"clientId":"ana","#,
            r#""version":{"serial":"2","timestamp":6,"clientId":"mod","description":"typo"},"#,
            r#""data":{"text":"hi","metadata":{"a":1}},"#,
            r#""extras":{"headers":{"h":"v"},"userClaim":"vip"}}]}"#,
        ];
        assert_eq!(found.envelope, expected.concat());
        let (found, expected) = decoded(json);
        assert_eq!(found, expected);
    }

    #[test]
    fn half_a_message_is_none() {
        let error = |json: &str| {
            let raw = RawValue::from_string(json.into()).unwrap();
            envelope_of(&raw, &room(), None).unwrap_err().to_string()
        };
        assert_eq!(error("[]"), "$: expected an object");
        // What Chat v3 answers.
        let v3 = r#"{"serial":"1","createdAt":5}"#;
        assert_eq!(error(v3), "$.text: missing, or of another type");
        for member in ["serial", "text", "action", "timestamp", "version"] {
            let json = format!("{{{}}}", WHOLE.replace(&format!("\"{member}\":"), "\"x\":"));
            assert_eq!(error(&json), format!("$.{member}: missing, or of another type"));
        }
        let summary = format!("{{{}}}", WHOLE.replace("message.create", "message.summary"));
        assert!(error(&summary).contains("$.action"));
    }

    /// Members by which the two forms could be taken for each other.
    const NAMES: [&str; 25] = [
        "text",
        "metadata",
        "headers",
        "userClaim",
        "clientId",
        "timestamp",
        "serial",
        "action",
        "version",
        "reactions",
        "roomId",
        "name",
        "data",
        "encoding",
        "extras",
        "annotations",
        "summary",
        "extras.x",
        "version.x",
        "version.serial",
        "headers#1",
        "\\ud800",
        "te\\u0078t",
        "new",
        "",
    ];

    fn values() -> impl Strategy<Value = String> {
        let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
        let fixed = [
            "null",
            "7",
            "-0.0e9",
            "1e999",
            "123456789012345678901234567890",
            "true",
            r#""x""#,
            r#""\ud800""#,
            r#""q\"uo\\te{""#,
            r#"{"text":"t"}"#,
            r#"{"a":1,"a":2, "b":[ ]}"#,
            r#"{"serial":7,"pinned":true}"#,
            r#"{"serial":"3","serial":"4"}"#,
            "[]",
            "{}",
            "\"\"",
            r#"{"summary":{"reaction:unique.v1":{}}}"#,
            r#"{"ephemeral":true}"#,
            r#""json""#,
            r#""message.delete""#,
        ];
        prop_oneof![
            9 => proptest::sample::select(fixed.map(str::to_owned).to_vec()),
            1 => Just(deep),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn both_forms_are_the_same_message(
            before in prop::collection::vec((prop::sample::select(NAMES.to_vec()), values()), 0..6),
            after in prop::collection::vec((prop::sample::select(NAMES.to_vec()), values()), 0..3),
        ) {
            let json = |members: &[(&str, String)]| {
                members.iter().map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect::<Vec<_>>()
            };
            let members = [json(&before), vec![WHOLE.to_owned()], json(&after)].concat();
            let json = format!("{{{}}}", members.join(","));
            let raw = RawValue::from_string(json.clone()).unwrap();
            // What `after` leaves no whole message is none in either form.
            if envelope_of(&raw, &room(), None).is_ok() {
                let (mut found, mut expected) = decoded(&json);
                for message in [&mut found, &mut expected] {
                    message.aside.retain(|_, value| value.as_str() != "null");
                }
                prop_assert_eq!(found, expected, "{}", json);
            }
        }
    }
}
