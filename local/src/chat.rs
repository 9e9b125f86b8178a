//! Prints each room as a chat window would show it.

use std::error::Error;

use ably_chat_exporter::chat::{ChatMessage, RoomName};
use ably_chat_exporter::store::{Direction, PageRequest, Store, StoredMessage};
use anstyle::Style;
use aws_smithy_types::date_time::{DateTime, Format};

use crate::screen::{ASIDE, NAME, entry, heading, paragraph, printable, styled};

/// Columns of who wrote a message.
const AUTHOR: usize = 10;
/// Columns of when it was written, and by whom.
const LABEL: usize = 19 + 2 + AUTHOR;

/// Shows what the store holds of a room.
pub(crate) async fn room(store: &Store, room: RoomName) -> Result<(), Box<dyn Error>> {
    heading(&format!("Room {:?}, as a chat window shows it", printable(&room.0)));
    let direction = Direction::OldestFirst;
    let mut request = PageRequest::new(room, direction, 100);
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
    let (text, style) = match &message.raw {
        _ if stored.is_deleted() => ("(deleted)".to_owned(), ASIDE),
        Some(raw) if message.text.is_empty() => {
            (printable(&format!("(not chat: {:?})", raw.data)), ASIDE)
        }
        _ => (printable(&message.text), Style::new()),
    };
    let (at, by) = (time(message.timestamp), printable(&message.client_id));
    let label = format!("{}  {}", styled(ASIDE, &at), styled(NAME, &by));
    entry(2, &label, LABEL, &text, style);
    for line in reactions(stored) {
        aside(&line);
    }
    if versions.len() > 1 {
        for version in versions {
            let by = version.version.client_id.as_deref().unwrap_or(&version.client_id);
            let (action, at) = (version.action.as_str(), time(version.version.timestamp));
            aside(&printable(&format!("{at} {action} by {by}: {}", version.text)));
        }
    }
}

/// A line below a message.
fn aside(text: &str) {
    paragraph(LABEL + 6, text, ASIDE);
}

/// A line for each reaction.
fn reactions(stored: &StoredMessage) -> Vec<String> {
    let reactions = &stored.reactions;
    let mut lines = Vec::new();
    for (kind, names) in [("unique", &reactions.unique), ("distinct", &reactions.distinct)] {
        for (name, list) in names {
            let ids = list.client_ids.join(", ");
            lines.push(format!("{name} {} ({kind}: {ids})", list.total));
        }
    }
    for (name, counts) in &reactions.multiple {
        let clients: Vec<_> = counts.client_ids.iter().map(|(id, n)| format!("{id} {n}")).collect();
        lines.push(format!("{name} {} (multiple: {})", counts.total, clients.join(", ")));
    }
    for (kind, json) in &stored.annotations {
        let json: String = json.as_str().split_whitespace().collect();
        lines.push(format!("{kind} {json}"));
    }
    lines.iter().map(|line| printable(line)).collect()
}

/// To the second: `2026-11-22 10:00:00`.
fn time(ms: i64) -> String {
    let time = DateTime::from_secs(ms.div_euclid(1_000)).fmt(Format::DateTime);
    time.map_or_else(|_| ms.to_string(), |time| time.replace('T', " ").replace('Z', ""))
}
