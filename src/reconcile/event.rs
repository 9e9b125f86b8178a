//! What invokes the reconcile function.

use serde::Deserialize;
use serde_json::Value;

use crate::ably;
use crate::backfill::Work;
use crate::chat::RoomName;

/// An invocation.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// Records of the work queue.
    Work(Vec<WorkRecord>),
    /// The schedule's.
    Task(Task),
    /// Ably's, of a `channel.lifecycle` rule: a room's channel has closed.
    Closed(RoomName),
    /// Ably's, of another change of a channel.
    Other,
    /// None of these; why.
    Unknown(String),
}

/// What a schedule asks for, as JSON: `{"task":"rooms"}`, `{"task":"rooms","days":2}`,
/// `{"task":"signs"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "task", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Task {
    /// Queue the rooms of the last days, for what came since they were compared last; with `days`,
    /// every room that Ably may have something of.
    Rooms {
        /// Days to look back at least, whatever receipts there are: edits, deletions and reactions
        /// belong to the time at which their message was created.
        #[serde(default)]
        days: Option<u16>,
    },
    /// Look for signs that Ably did not deliver something.
    Signs,
}

/// A record of the work queue.
#[derive(Debug, PartialEq)]
pub(super) struct WorkRecord {
    pub(super) id: String,
    pub(super) work: Result<Work, String>,
}

impl Event {
    pub(super) fn read(payload: Value) -> Self {
        if let Some(records) = payload.get("Records").and_then(Value::as_array) {
            let is_sqs = |record: &&Value| record["eventSource"] == "aws:sqs";
            return match records.iter().find(|record| !is_sqs(record)) {
                None => Self::Work(records.iter().map(record).collect()),
                Some(_) => Self::Unknown("records, but not of SQS".into()),
            };
        }
        if payload.get("task").is_some() {
            return match serde_json::from_value(payload) {
                Ok(task) => Self::Task(task),
                Err(error) => Self::Unknown(format!("a schedule's input: {error}")),
            };
        }
        if let Some(room) = ably::closed_room(&payload) {
            return Self::Closed(room);
        }
        let items = payload.get("items").and_then(|items| items.get(0));
        let source = payload.get("source").or_else(|| items?.get("source")).and_then(Value::as_str);
        match source {
            Some("channel.lifecycle") => Self::Other,
            _ => Self::Unknown(
                "expected a schedule's input ({\"task\":\"rooms\"} or {\"task\":\"signs\"}), \
                 records of the work queue or an event of an Ably rule for channel.lifecycle"
                    .into(),
            ),
        }
    }
}

fn record(record: &Value) -> WorkRecord {
    let id = record["messageId"].as_str().unwrap_or_default().to_owned();
    let body = record["body"].as_str().unwrap_or_default();
    let work = serde_json::from_str(body).map_err(|error| format!("no work: {error}"));
    let is_room = |work: &Work| !work.room.0.is_empty();
    let work = work.and_then(|work| if is_room(&work) { Ok(work) } else { Err("no room".into()) });
    WorkRecord { id, work }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_event_is_told() {
        let room = RoomName("a".into());
        let work = Work { from: Some(1), ..Work::of(room.clone()) };
        let record = json!({"messageId": "m", "eventSource": "aws:sqs", "body": work.json()});
        let read = WorkRecord { id: "m".into(), work: Ok(work) };
        assert_eq!(Event::read(json!({"Records": [record]})), Event::Work(vec![read]));
        assert_eq!(Event::read(json!({"task": "signs"})), Event::Task(Task::Signs));
        let rooms = |days| Event::Task(Task::Rooms { days });
        assert_eq!(Event::read(json!({"task": "rooms"})), rooms(None));
        assert_eq!(Event::read(json!({"task": "rooms", "days": 2})), rooms(Some(2)));
        let lifecycle = |name: &str| {
            let source = "channel.lifecycle";
            json!({"source": source, "channel": "a::$chat", "name": name, "data": {}})
        };
        assert_eq!(Event::read(lifecycle("channel.closed")), Event::Closed(room));
        assert_eq!(Event::read(lifecycle("channel.opened")), Event::Other);
        for odd in [
            json!({}),
            json!([]),
            json!("text"),
            json!({"task": "all"}),
            json!({"task": "rooms", "days": -1}),
            json!({"Records": [{"eventSource": "aws:kinesis"}]}),
            json!({"source": "channel.message", "messages": []}),
        ] {
            assert!(matches!(Event::read(odd.clone()), Event::Unknown(_)), "{odd}");
        }
        for body in ["", "{}", "{\"room\":\"\"}", "{\"room\":1}", "{\"room\":\"a\",\"x\":1}"] {
            let record = json!({"messageId": "m", "eventSource": "aws:sqs", "body": body});
            let Event::Work(records) = Event::read(json!({"Records": [record]})) else {
                panic!("work")
            };
            assert!(records[0].work.is_err(), "{body}");
        }
    }
}
