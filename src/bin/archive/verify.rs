//! `verify`: holds the table against receipts, its own or those kept as files.

use std::collections::BTreeMap;

use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::backfill::{Receipt, Verified, receipts, verify};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::ingest::Ingest;
use ably_chat_exporter::time;
use serde_json::json;

use crate::args::Verify;
use crate::output::{Output, Style};
use crate::rooms::named;
use crate::walks::check;
use crate::{Error, Exit};

/// How many receipts there are, and how many of them do not hold.
#[derive(Default)]
struct Count {
    receipts: usize,
    broken: usize,
}

pub(crate) async fn verify_receipts(flags: Verify, style: Style) -> Result<Exit, Error> {
    let config = AblyRestConfig::from_env(false)?.config;
    let sdk = aws::connect(config.platform_roots, Identity::Anywhere).await;
    let store = Ingest::new(config, &sdk).store;
    check(&store).await?;
    let output = Output::new(style, true);
    let mut count = Count::default();
    let mut of_files: BTreeMap<RoomName, Vec<Receipt>> = BTreeMap::new();
    for file in &flags.receipts {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("--receipt {}: {error}", file.display()))?;
        let receipt: Receipt = serde_json::from_str(&text)
            .map_err(|error| format!("--receipt {}: no receipt: {error}", file.display()))?;
        of_files.entry(receipt.room.clone()).or_default().push(receipt);
    }
    for receipts in of_files.into_values() {
        count.add(&output, verify(&store, receipts).await?);
    }
    for room in named(&flags.rooms, flags.rooms_file.as_deref())? {
        let found = receipts(&store, &room).await?;
        if found.is_empty() {
            count.broken += 1;
            let members = json!({"room": room, "reason": "no receipt"});
            output.result("failed", &members, &format!("{room}: there is no receipt in the table"));
        }
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for receipt in found {
            match receipt {
                Ok(receipt) => readable.push(receipt),
                Err(sort_key) => unreadable.push(sort_key),
            }
        }
        for sort_key in unreadable {
            (count.receipts, count.broken) = (count.receipts + 1, count.broken + 1);
            let reason = format!(
                "the receipt {sort_key:?} is unreadable: altered, or of another version of this program"
            );
            let members = json!({"room": room, "reason": reason});
            output.result("failed", &members, &format!("{room}: {reason}"));
        }
        count.add(&output, verify(&store, readable).await?);
    }
    let Count { receipts, broken } = count;
    let members = json!({"receipts": receipts, "broken": broken});
    output.result("summary", &members, &format!("{receipts} receipts, {broken} broken"));
    Ok(if broken == 0 { Exit::Complete } else { Exit::Gaps })
}

impl Count {
    /// Counts what was verified, and prints a line for each.
    fn add(&mut self, output: &Output, verified: Vec<Verified>) {
        for Verified { receipt, problems, superseded } in verified {
            self.receipts += 1;
            self.broken += usize::from(!problems.is_empty());
            let Receipt { room, from, until, tally, pages, .. } = &receipt;
            let is_superseded = superseded == pages.len() && superseded > 0;
            let span = format!("{} to {}", time::in_words(*from), time::in_words(*until));
            let versions = tally.versions;
            let text = match &problems[..] {
                [] if is_superseded => format!("{room}: {span}: seen again by a later receipt"),
                [] if tally.different > 0 => {
                    let different = tally.different;
                    format!(
                        "{room}: {span}: holds all {versions} versions; {different} were other \
                         records than Ably's"
                    )
                }
                [] => format!("{room}: {span}: holds all {versions} versions"),
                problems => format!("{room}: {span}: BROKEN: {}", problems.join("; ")),
            };
            let members = json!({"room": room, "from": from, "until": until, "versions": versions,
                "different": tally.different, "superseded": is_superseded,
                "holds": problems.is_empty(), "problems": problems});
            output.result("receipt", &members, &text);
        }
    }
}
