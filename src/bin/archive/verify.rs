//! `verify`: checks the table against receipts, its own or those kept as files.

use std::path::PathBuf;

use ably_chat_exporter::backfill::{Receipt, Verified, receipts, verify};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::store::{Store, UnreadableDocument};
use ably_chat_exporter::time;
use clap::Args;
use serde_json::json;

use crate::connect::open_store;
use crate::help::Ending;
use crate::output::{Output, Style, counted};
use crate::selection::named;
use crate::{Error, Exit, receipt_files};

const ENDING: Ending = Ending::of_table(
    &[
        ("By the receipts in the table", "verify --room support:42"),
        ("By a receipt that was kept elsewhere", "verify --receipt receipt-support42-….json"),
    ],
    &[
        (Exit::Complete, "every receipt holds"),
        (Exit::Gaps, "a receipt does not hold, or a room has none"),
        (Exit::Failed, "it could not begin, or failed"),
    ],
);

/// Checks that the table still holds everything that its receipts saw.
///
/// It reads the table, and asks nothing of Ably.
#[derive(Args)]
#[command(after_long_help = ENDING)]
#[group(required = true, multiple = true)]
pub(crate) struct Flags {
    /// A room whose receipts in the table are checked; may be given several times
    #[arg(long = "room", value_name = "NAME")]
    rooms: Vec<String>,
    /// A file with a room's name on each line
    #[arg(long, value_name = "FILE")]
    rooms_file: Option<PathBuf>,
    /// A receipt kept as a file (backfill --receipts, reconcile --receipts); may be given several
    /// times
    #[arg(long = "receipt", value_name = "FILE")]
    receipts: Vec<PathBuf>,
}

pub(crate) async fn run(flags: Flags, style: Style) -> Result<Exit, Error> {
    let store = open_store().await?;
    let output = Output::new(style, true);
    let mut count = Count::default();
    for receipts in receipt_files::read(&flags.receipts)?.into_values() {
        count.add(&output, verify(&store, receipts).await?);
    }
    for room in named(&flags.rooms, flags.rooms_file.as_deref())? {
        count.add_room(&output, &store, &room).await?;
    }
    let Count { receipts, broken } = count;
    let members = json!({"receipts": receipts, "broken": broken});
    let text = format!("{}, {broken} broken", counted(receipts, "receipt"));
    output.result("summary", &members, &text);
    Ok(if broken == 0 { Exit::Complete } else { Exit::Gaps })
}

/// How many receipts there are, and how many of them do not hold.
#[derive(Default)]
struct Count {
    receipts: u64,
    broken: u64,
}

impl Count {
    /// Verifies a room by its receipts in the table.
    async fn add_room(
        &mut self,
        output: &Output,
        store: &Store,
        room: &RoomName,
    ) -> Result<(), Error> {
        let failed = |reason: &str| {
            let members = json!({"room": room, "reason": reason});
            output.result("failed", &members, &format!("{room}: {reason}"));
        };
        let found = receipts(store, room).await?;
        if found.is_empty() {
            self.broken += 1;
            failed("no receipt");
        }
        let mut readable = Vec::new();
        for receipt in found {
            match receipt {
                Ok(receipt) => readable.push(receipt),
                Err(UnreadableDocument { sort_key }) => {
                    self.receipts += 1;
                    self.broken += 1;
                    failed(&format!(
                        "the receipt {sort_key:?} is unreadable: altered, or of another version of \
                         this program"
                    ));
                }
            }
        }
        self.add(output, verify(store, readable).await?);
        Ok(())
    }

    /// Counts what was verified, and prints a line for each.
    fn add(&mut self, output: &Output, verified: Vec<Verified>) {
        for verified in verified {
            let Verified { receipt, problems, superseded } = &verified;
            self.receipts += 1;
            self.broken += u64::from(!problems.is_empty());
            let Receipt { room, from, until, tally, pages, .. } = receipt;
            let is_superseded = *superseded == pages.len() && *superseded > 0;
            let members = json!({"room": room, "from": from, "until": until,
                "versions": tally.versions, "different": tally.different,
                "superseded": is_superseded, "holds": problems.is_empty(), "problems": problems});
            output.result("receipt", &members, &text(&verified, is_superseded));
        }
    }
}

fn text(Verified { receipt, problems, .. }: &Verified, is_superseded: bool) -> String {
    let Receipt { room, from, until, tally, .. } = receipt;
    let versions = counted(tally.versions, "version");
    let found = match &problems[..] {
        [] if is_superseded => "a later receipt saw the same messages".to_owned(),
        [] if tally.versions == 0 => "Ably had no messages of that time".to_owned(),
        [] if tally.different > 0 => {
            let different = tally.different;
            format!("holds ({versions}, of which {different} differed from Ably's)")
        }
        [] => format!("holds ({versions})"),
        problems => format!("BROKEN: {}", problems.join("; ")),
    };
    format!("{room}: {} to {}: {found}", time::in_words(*from), time::in_words(*until))
}
