//! Which rooms: those that the user names, and those that somebody knows of.

use std::collections::BTreeSet;
use std::path::Path;

use ably_chat_exporter::backfill::{Backfill, Window, active_rooms, stored_rooms};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::ingest::RoomFilter;

use crate::Error;
use crate::args::Rooms;

/// Gathers the rooms to be walked.
pub(crate) async fn gather(
    wanted: &Rooms,
    backfill: &Backfill,
    filter: Option<&RoomFilter>,
    window: Window,
) -> Result<BTreeSet<RoomName>, Error> {
    let mut rooms = named(&wanted.rooms, wanted.rooms_file.as_deref())?;
    if wanted.active {
        rooms.extend(active_rooms(backfill.rest()).await?);
    }
    if wanted.stored {
        let stored = stored_rooms(backfill.store(), window).await?;
        if stored.is_empty() {
            return Err(
                "--stored: the table's index notes no room from --since to --until. Is the \
                        table older than its index, or ROOM_INDEX off? Then give --rooms-file"
                    .into(),
            );
        }
        rooms.extend(stored);
    }
    rooms.retain(|room| filter.is_none_or(|filter| filter.keeps(room)));
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
        // A byte order mark is not part of the first room's name.
        let lines = text.trim_start_matches('\u{feff}').lines();
        names.extend(lines.filter(|line| !line.is_empty()).map(|line| RoomName(line.into())));
    }
    match names.contains(&RoomName::default()) {
        true => Err("a room's name is empty".into()),
        false => Ok(names),
    }
}
