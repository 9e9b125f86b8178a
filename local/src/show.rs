//! Prints a table: each room as a chat window would show it, then the rows.

use std::collections::BTreeSet;
use std::error::Error;

use ably_chat_exporter::chat::{ChatMessage, RoomName};
use ably_chat_exporter::store::{Direction, PageRequest, Start, Store, StoredMessage};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value, json};
use testkit::Item;

/// Shows everything that the table holds.
pub(crate) async fn table(client: &Client, store: &Store) -> Result<(), Box<dyn Error>> {
    let rows = testkit::rows(client).await?;
    let key = |row: &Item| ["pk", "sk"].map(|name| row[name].as_s().cloned().unwrap_or_default());
    let of_rooms = rows.iter().map(key).filter(|[_, sk]| !sk.starts_with("room#"));
    let rooms: BTreeSet<String> = of_rooms.map(|[pk, _]| pk).collect();
    for name in rooms {
        room(store, RoomName(name)).await?;
    }
    println!("\nRows ({}), as DynamoDB holds them:", rows.len());
    for mut row in rows {
        let [pk, sk] = key(&row);
        row.retain(|name, _| name != "pk" && name != "sk");
        println!("  pk {pk:?} sk {sk:?}\n    {}", typed(&AttributeValue::M(row))["M"]);
    }
    Ok(())
}

async fn room(store: &Store, room: RoomName) -> Result<(), Box<dyn Error>> {
    println!("\nRoom {:?}, as a chat window shows it:", room.0);
    let direction = Direction::OldestFirst;
    let mut request = PageRequest { room, direction, start: Start::Edge, limit: 100 };
    loop {
        let page = store.page(&request).await?;
        for message in page.messages {
            let versions = store.versions(&request.room, &message.message.serial).await?;
            self::message(&message, &versions);
        }
        match page.next {
            Some(start) => request.start = start,
            None => return Ok(()),
        }
    }
}

fn message(stored: &StoredMessage, versions: &[ChatMessage]) {
    let message = &stored.message;
    let text = match &message.raw {
        _ if stored.is_deleted() => "(deleted)".to_owned(),
        Some(raw) if message.text.is_empty() => format!("(not chat: {:?})", raw.data),
        _ => printable(&message.text),
    };
    println!("  {}  {:<10} {text}", time(message.timestamp), printable(&message.client_id));
    let reactions = &stored.reactions;
    let lists = [("unique", &reactions.unique), ("distinct", &reactions.distinct)];
    for (kind, names) in lists {
        for (name, list) in names {
            let (name, ids) = (printable(name), printable(&list.client_ids.join(", ")));
            println!("      {name} {} ({kind}: {ids})", list.total);
        }
    }
    for (name, counts) in &reactions.multiple {
        let clients: Vec<_> = counts.client_ids.iter().map(|(id, n)| format!("{id} {n}")).collect();
        let (name, ids) = (printable(name), printable(&clients.join(", ")));
        println!("      {name} {} (multiple: {ids})", counts.total);
    }
    for (kind, json) in &stored.annotations {
        let json: String = json.as_str().split_whitespace().collect();
        println!("      {} {}", printable(kind), printable(&json));
    }
    if versions.len() > 1 {
        for version in versions {
            let by = version.version.client_id.as_deref().unwrap_or(&version.client_id);
            let at = time(version.version.timestamp);
            let (action, by) = (version.action.as_str(), printable(by));
            println!("      {action} {at} by {by}: {}", printable(&version.text));
        }
    }
}

/// Text without what would steer the terminal: control characters and changes of direction.
fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

fn time(ms: i64) -> String {
    let time = DateTime::from_millis(ms).fmt(DateTimeFormat::DateTime);
    time.unwrap_or_else(|_| ms.to_string())
}

/// DynamoDB's own JSON, as the AWS CLI prints it.
fn typed(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(value) => json!({"BOOL": value}),
        AttributeValue::Null(value) => json!({"NULL": value}),
        AttributeValue::B(bytes) => {
            json!({"B": aws_smithy_types::base64::encode(bytes.as_ref())})
        }
        AttributeValue::L(values) => json!({"L": values.iter().map(typed).collect::<Vec<_>>()}),
        AttributeValue::M(map) => {
            let members = map.iter().map(|(name, value)| (name.clone(), typed(value)));
            json!({"M": members.collect::<Map<_, _>>()})
        }
        other => json!({"?": format!("{other:?}")}),
    }
}
