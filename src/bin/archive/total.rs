//! What walks came to, room by room and in all: lines, summary, bill, exit status.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use ably_chat_exporter::backfill::{Backfill, Failure, Receipt, Tally, Walked, Window};
use ably_chat_exporter::chat::RoomName;
use serde_json::{Value, json};

use crate::output::Output;
use crate::walks::Job;
use crate::{Error, Exit};

/// Price of a DynamoDB write unit on demand, in USD: the list price of us-east-1.
const USD_PER_WRITE_UNIT: f64 = 0.625 / 1_000_000.0;

/// The sum over all rooms.
pub(crate) struct Total {
    window: Window,
    job: Job,
    /// Requests to Ably a second, at most.
    pace: f64,
    begun: Instant,
    /// Counts of whole walks, and of what was done in them now.
    tally: Tally,
    done: Tally,
    receipt_units: u64,
    complete: usize,
    already: usize,
    stopped: BTreeSet<RoomName>,
    failed: BTreeSet<RoomName>,
    unknown: BTreeSet<RoomName>,
    /// Why all rooms would fail.
    fatal: Option<String>,
}

impl Total {
    pub(crate) fn new(window: Window, job: Job, pace: f64) -> Self {
        Self {
            window,
            job,
            pace,
            begun: Instant::now(),
            tally: Tally::default(),
            done: Tally::default(),
            receipt_units: 0,
            complete: 0,
            already: 0,
            stopped: BTreeSet::new(),
            failed: BTreeSet::new(),
            unknown: BTreeSet::new(),
            fatal: None,
        }
    }

    /// Takes in a room's walk, and prints what it came to.
    pub(crate) fn add(
        &mut self,
        output: &Output,
        room: &RoomName,
        walked: &Walked,
        directory: Option<&Path>,
    ) -> Result<(), Error> {
        self.tally.add(&walked.tally);
        self.done.add(&walked.done());
        self.receipt_units += walked.receipt_units;
        for receipt in &walked.receipts {
            if let Some(directory) = directory {
                leave(directory, receipt)?;
            }
        }
        let state = self.state(room, walked);
        let mut members = json!(walked.tally);
        members["room"] = json!(room);
        members["state"] = json!(state);
        members["until"] = json!(self.window.until);
        members["failures"] = json!(walked.failures);
        members["resumed"] = json!(walked.resumed.messages);
        let text = match state {
            "complete before" => format!("{room}: complete before"),
            "unknown" => format!(
                "{room}: unknown; the table has nothing of it, and Ably nothing of that time (is it the right \
                 name?)"
            ),
            "walked" if walked.tally.messages == 0 => {
                format!("{room}: walked; Ably has no messages of that time")
            }
            _ => format!("{room}: {state}; {}", words(&walked.tally)),
        };
        output.result("room", &members, &text);
        Ok(())
    }

    fn state(&mut self, room: &RoomName, walked: &Walked) -> &'static str {
        if walked.failures > 0 {
            self.failed.insert(room.clone());
            "failed"
        } else if walked.is_stopped {
            self.stopped.insert(room.clone());
            "stopped"
        } else if walked.is_unknown {
            self.unknown.insert(room.clone());
            "unknown"
        } else if walked.receipts.is_empty() {
            self.already += 1;
            "complete before"
        } else {
            self.complete += 1;
            "walked"
        }
    }

    /// Takes in a walk that failed. What all rooms would fail by is said once.
    pub(crate) fn fail(&mut self, output: &Output, room: RoomName, failure: Failure) {
        if !failure.is_fatal {
            let members = json!({"room": room, "reason": failure.reason});
            output.result("failed", &members, &format!("{room}: {}", failure.reason));
        } else if self.fatal.is_none() {
            output.error(&failure.reason);
            self.fatal = Some(failure.reason);
        }
        self.failed.insert(room);
    }

    /// Prints the summary.
    pub(crate) fn conclude(&self, output: &Output, backfill: &Backfill) -> Exit {
        let (requests, messages) = backfill.rest().usage();
        // A comparison writes nothing; a dry run says what the run would.
        let units = match self.job.is_executed || self.job.is_run {
            true => self.done.write_units + self.receipt_units,
            false => 0,
        };
        let usd = units as f64 * USD_PER_WRITE_UNIT;
        let seconds = self.begun.elapsed().as_secs_f64().max(requests as f64 / self.pace).round();
        let mut text = format!(
            "{} rooms walked, {} complete before; {}\nAbly: {messages} messages in {requests} requests. \
             DynamoDB: {units} write units, {usd:.4} USD (us-east-1, on demand). {seconds} s.",
            self.complete,
            self.already,
            words(&self.tally),
        );
        if !self.job.is_executed {
            text += "\nNothing was written.";
        }
        if self.job.is_run && !self.job.is_executed {
            let until = self.window.until;
            text += &format!(
                " These are the bills of `--execute --until {until}`; what Ably counts, this dry run \
                 has used as well. To write takes longer than to read."
            );
        }
        let lists =
            [(&self.failed, "failed"), (&self.stopped, "stopped"), (&self.unknown, "unknown")];
        for (rooms, what) in lists {
            if !rooms.is_empty() {
                let names: Vec<_> = rooms.iter().map(|room| room.0.as_str()).collect();
                text += &format!("\n{} rooms {what}: {}", rooms.len(), names.join(", "));
            }
        }
        let mut members = self.members();
        members["ablyRequests"] = json!(requests);
        members["ablyMessages"] = json!(messages);
        members["writeUnits"] = json!(units);
        members["usd"] = json!(usd);
        members["seconds"] = json!(seconds);
        output.result("summary", &members, &text);
        if !self.stopped.is_empty() && self.fatal.is_none() {
            output.note(match self.job.is_executed {
                true => "stopped: to go on from there, give the same command again",
                false => "stopped; nothing is written, so that the same command begins anew",
            });
        }
        self.exit()
    }

    fn members(&self) -> Value {
        let mut members = json!(self.tally);
        members["rooms"] = json!({"walked": self.complete, "completeBefore": self.already,
            "stopped": self.stopped, "failed": self.failed, "unknown": self.unknown});
        members["from"] = json!(self.window.from);
        members["until"] = json!(self.window.until);
        members["executed"] = json!(self.job.is_executed);
        members["error"] = json!(self.fatal);
        members
    }

    fn exit(&self) -> Exit {
        let has_gaps = self.tally.gaps() > self.tally.repaired || !self.unknown.is_empty();
        match (self.failed.is_empty(), self.stopped.is_empty(), has_gaps) {
            (false, ..) => Exit::Failed,
            (_, false, _) => Exit::Stopped,
            (_, _, true) => Exit::Gaps,
            (true, true, false) => Exit::Complete,
        }
    }
}

fn words(tally: &Tally) -> String {
    let Tally { messages, versions, found, missing, older, different, reactions, .. } = tally;
    let Tally { annotations, repaired, .. } = tally;
    format!(
        "{messages} messages and {versions} versions at Ably; of these {found} found, {missing} missing \
         ({older} messages older), {different} different; other reactions on {reactions} messages, \
         {annotations} individual reactions missing; {repaired} repaired"
    )
}

/// Leaves a receipt as a file, named by what it is of.
fn leave(directory: &Path, receipt: &Receipt) -> Result<(), Error> {
    let room: String =
        receipt.room.0.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let digest: String = receipt.sha256.chars().take(8).collect();
    let name = format!("receipt-{room}-{}-{}-{digest}.json", receipt.from, receipt.until);
    let path = directory.join(name);
    let json = serde_json::to_string_pretty(receipt)?;
    std::fs::write(&path, json + "\n")
        .map_err(|error| format!("{}: {error}", path.display()).into())
}
