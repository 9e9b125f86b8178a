//! What Ably says about an app and its channels: errors of integrations on `[meta]log`, counts on
//! `[meta]stats:minute`, and `channel.lifecycle` events (Ably docs "Metadata subscriptions").
//! Ably's pages disagree about the shapes, so that every member is optional and the rest is
//! ignored.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ably::room;
use crate::chat::RoomName;

/// Codes of failed integrations (Ably error registry): the target's rate limit, the account's
/// integration rate, and the failures of a delivery.
const CODES: [i64; 9] = [42_923, 42_925, 70_000, 70_001, 70_002, 70_003, 70_004, 70_005, 70_006];
/// Kinds of outbound traffic that are integrations: webhooks, serverless functions, Ably Queues and
/// streams (Ably docs, "App statistics").
const KINDS: [&str; 4] = ["webhook", "httpEvent", "sharedQueue", "externalQueue"];

/// A sign that Ably did not deliver something about that time. What, it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// When Ably said so, in ms since the epoch; `None` if it does not say.
    pub timestamp: Option<i64>,
    /// What it said: code and tag, or counts.
    pub reason: String,
}

#[derive(Deserialize)]
struct MetaMessage<'a> {
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Reads a message of `[meta]log` or `[meta]stats:minute`; `None` if it tells of no trouble with
/// integrations.
#[must_use]
pub fn trouble(raw: &RawValue) -> Option<Trouble> {
    let message: MetaMessage<'_> = serde_json::from_str(raw.get()).ok()?;
    let timestamp = message.timestamp.and_then(|raw| whole(&value(raw)?));
    let data = value(message.data?)?;
    let reason = failed_counts(&data).or_else(|| integration_error(&data))?;
    Some(Trouble { timestamp, reason })
}

/// `data` as an object, or as JSON text in a string.
fn value(raw: &RawValue) -> Option<Value> {
    match serde_json::from_str(raw.get()).ok()? {
        Value::String(text) => serde_json::from_str(&text).ok(),
        value => Some(value),
    }
}

/// A whole number in any spelling: `1`, `1.0`, `"1"`.
fn whole(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    text.parse().ok().or_else(|| {
        let number = text.parse::<f64>().ok()?;
        format!("{number:.0}").parse().ok().filter(|_| number.fract() == 0.0)
    })
}

fn integration_error(data: &Value) -> Option<String> {
    let error = data.get("error").unwrap_or(data);
    let tag = data.get("tag").or_else(|| error.get("tag")).and_then(Value::as_str).unwrap_or("");
    let code = error.get("code").and_then(whole);
    let is_known = code.is_some_and(|code| CODES.contains(&code));
    if !is_known && !tag.starts_with("reactor.") {
        return None;
    }
    let code = code.map_or_else(|| "without a code".to_owned(), |code| format!("error {code}"));
    let kind: String = tag.chars().filter(char::is_ascii_graphic).take(64).collect();
    Some(if kind.is_empty() { code } else { format!("{code} ({kind})") })
}

fn failed_counts(data: &Value) -> Option<String> {
    let entries = data.get("entries")?.as_object()?;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in entries {
        let Some(rest) = name.strip_prefix("messages.outbound.") else { continue };
        let kind = KINDS.into_iter().find(|kind| rest.split('.').next() == Some(kind));
        // `all` counts what `messages` does, and presence too.
        let counts_failures = rest.ends_with(".all.failed") || rest.ends_with(".all.refused");
        // Whole numbers; a fraction, should there be one, is more than nothing.
        let some = || u64::from(count.as_f64().is_some_and(|count| count > 0.0));
        let count = count.as_u64().unwrap_or_else(some);
        if let (Some(kind), true, 1..) = (kind, counts_failures, count) {
            *counts.entry(kind).or_default() += count;
        }
    }
    let words: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} by {kind}")).collect();
    (!words.is_empty()).then(|| format!("not delivered: {}", words.join(", ")))
}

/// The room whose channel has closed, if that is what the event says. No source shows the event as
/// it comes by itself, so its members are looked for wherever a batch or a metachannel has them.
#[must_use]
pub fn closed_room(event: &Value) -> Option<RoomName> {
    let item = event.get("items").and_then(|items| items.get(0)).unwrap_or(event);
    let message = item.get("messages").and_then(|messages| messages.get(0)).unwrap_or(item);
    let data = message.get("data").unwrap_or(message);
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let name = [message, item, data]
        .into_iter()
        .find_map(|value| text(value, "name").filter(|name| name.starts_with("channel.")));
    let channel = text(data, "channelId")
        .or_else(|| text(data, "channel"))
        .or_else(|| text(item, "channelId"))
        .or_else(|| text(item, "channel"))?;
    // Where no name says it, the status does.
    let is_active = data.get("status").and_then(|status| status.get("isActive"));
    let is_closed = match name.as_deref() {
        Some(name) => name == "channel.closed",
        None => is_active == Some(&Value::Bool(false)),
    };
    if is_closed { room::of_channel(&channel).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(message: &Value) -> Option<String> {
        trouble(&serde_json::value::to_raw_value(message).unwrap()).map(|trouble| trouble.reason)
    }

    /// Both forms that Ably's pages show, as objects and as text.
    #[test]
    fn errors_of_integrations_are_told_from_others() {
        let data =
            json!({"error": {"code": 42925, "statusCode": 429}, "tag": "reactor.generic.http"});
        let found = read(&json!({"id": "a", "timestamp": 5, "data": data}));
        assert_eq!(found.as_deref(), Some("error 42925 (reactor.generic.http)"));
        let text = json!({"timestamp": 5, "data": data.to_string(), "encoding": "json"});
        assert_eq!(read(&text), found);
        let bare =
            json!({"timestamp": 5, "data": {"code": 70001, "statusCode": 503, "cause": "x"}});
        assert_eq!(read(&bare).as_deref(), Some("error 70001"));
        let unknown = json!({"timestamp": 5, "data": {"tag": "reactor.lambda", "error": {}}});
        assert_eq!(read(&unknown).as_deref(), Some("without a code (reactor.lambda)"));
        for other in [
            json!({"timestamp": 5, "data": {"code": 40000}}),
            json!({"timestamp": 5, "data": "text"}),
            json!({"timestamp": 5, "data": {"tag": "push"}}),
            json!({"timestamp": 5}),
            json!([]),
        ] {
            assert_eq!(read(&other), None, "{other}");
        }
    }

    /// A sign of trouble is one, however its time and code are spelled.
    #[test]
    fn regression_odd_spellings_hide_no_error() {
        let read = |message: &str| trouble(&RawValue::from_string(message.into()).unwrap());
        for (timestamp, expected) in [
            ("5", Some(5)),
            ("1.7672256e12", Some(1_767_225_600_000)),
            ("5.0", Some(5)),
            ("\"5\"", Some(5)),
            ("null", None),
            ("{}", None),
        ] {
            for code in ["42925", "42925.0", "\"42925\""] {
                let message = format!(r#"{{"timestamp":{timestamp},"data":{{"code":{code}}}}}"#);
                let found = read(&message).expect("an error of an integration");
                assert_eq!(found.timestamp, expected, "{message}");
                assert_eq!(found.reason, "error 42925");
            }
        }
        assert_eq!(read(r#"{"data":{"code":70001}}"#).unwrap().timestamp, None);
    }

    #[test]
    fn failed_deliveries_are_counted_by_kind() {
        let entries = json!({"messages.outbound.webhook.all.failed": 3,
            "messages.outbound.webhook.all.refused": 2,
            "messages.outbound.webhook.messages.failed": 3,
            "messages.outbound.httpEvent.all.count": 7, "messages.inbound.rest.all.failed": 9,
            "messages.outbound.externalQueue.all.refused": 1.0});
        let found = read(&json!({"timestamp": 5, "name": "update", "data": {"entries": entries}}));
        assert_eq!(found.as_deref(), Some("not delivered: 1 by externalQueue, 5 by webhook"));
        let none = json!({"messages.outbound.webhook.all.failed": 0});
        assert_eq!(read(&json!({"timestamp": 5, "data": {"entries": none}})), None);
    }

    #[test]
    fn closed_channels_are_told_in_every_shape() {
        let room = Some(RoomName("a".into()));
        let status = json!({"isActive": false});
        let data = json!({"channelId": "a::$chat", "name": "channel.closed", "status": status});
        let source = "channel.lifecycle";
        for event in [
            json!({"items": [{"source": source, "name": "channel.closed", "data": data}]}),
            json!({"source": source, "channel": "a::$chat", "name": "channel.closed", "data": {}}),
            json!({"source": source, "data": data}),
            json!({"source": source, "data": {"channelId": "a::$chat", "status": status}}),
            json!({"source": source, "channel": "[meta]channel.lifecycle",
                   "messages": [{"name": "channel.closed", "data": data}]}),
        ] {
            assert_eq!(closed_room(&event), room, "{event}");
        }
        for event in [
            json!({"items": [{"name": "channel.opened", "data": data}]}),
            json!({"name": "channel.closed", "data": {"channelId": "not-a-room"}}),
            json!({"name": "channel.closed"}),
            json!([]),
        ] {
            assert_eq!(closed_room(&event), None, "{event}");
        }
    }
}
