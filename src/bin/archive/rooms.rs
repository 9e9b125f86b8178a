//! Which rooms: those that the user names, and those that somebody knows of.

use std::collections::BTreeSet;
use std::path::Path;

use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::backfill::{Backfill, Window, active_rooms, days_seen, stored_rooms};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::ingest::Ingest;
use ably_chat_exporter::time;
use serde_json::json;

use crate::args::{Known, Rooms};
use crate::output::{Output, Style};
use crate::walks::check;
use crate::{Error, Exit};

/// Gathers the rooms to be walked.
pub(crate) async fn gather(
    wanted: &Rooms,
    backfill: &Backfill,
    window: Window,
) -> Result<BTreeSet<RoomName>, Error> {
    let mut rooms = named(&wanted.rooms, wanted.rooms_file.as_deref())?;
    if wanted.active {
        rooms.extend(active_rooms(backfill.rest()).await?);
    }
    if wanted.stored {
        let stored = stored_rooms(&backfill.ingest().store, window).await?;
        if stored.is_empty() {
            return Err(
                "--stored: the table's index notes no room from --since to --until. Was it made \
                        before the index was, or is ROOM_INDEX off? Give --rooms-file then"
                    .into(),
            );
        }
        rooms.extend(stored);
    }
    rooms.retain(|room| !backfill.ingest().is_filtered_out(Some(room)));
    if rooms.is_empty() {
        return Err(
            "there are no rooms to walk (ROOM_FILTER leaves out those it does not match)".into()
        );
    }
    Ok(rooms)
}

/// The rooms that flags and a file name.
pub(crate) fn named(rooms: &[String], file: Option<&Path>) -> Result<BTreeSet<RoomName>, Error> {
    let mut names: BTreeSet<RoomName> = rooms.iter().map(|room| RoomName(room.clone())).collect();
    if let Some(file) = file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("--rooms-file {}: {error}", file.display()))?;
        // A byte order mark is none of the first room's name.
        let lines = text.trim_start_matches('\u{feff}').lines();
        names.extend(lines.filter(|line| !line.is_empty()).map(|line| RoomName(line.into())));
    }
    match names.contains(&RoomName::default()) {
        true => Err("a room's name is empty".into()),
        false => Ok(names),
    }
}

/// Lists the rooms of the table's index.
pub(crate) async fn list(known: &Known, style: Style) -> Result<Exit, Error> {
    let config = AblyRestConfig::from_env(false)?.config;
    let sdk = aws::connect(config.platform_roots, Identity::Anywhere).await;
    let store = Ingest::new(config, &sdk).store;
    check(&store).await?;
    let output = Output::new(style, true);
    let window = Window { from: known.since, until: known.until.unwrap_or_else(time::now) };
    let rooms = days_seen(&store, window).await?;
    for (room, seen) in &rooms {
        let (first, last) = (time::day(seen.first), time::day(seen.last));
        let members = json!({"room": room, "days": seen.count, "first": first, "last": last});
        let days = if seen.count == 1 { "day" } else { "days" };
        let text = format!("{room}: {} {days}, from {first} to {last}", seen.count);
        output.result("room", &members, &text);
    }
    output.result("summary", &json!({"rooms": rooms.len()}), &format!("{} rooms", rooms.len()));
    Ok(Exit::Complete)
}
