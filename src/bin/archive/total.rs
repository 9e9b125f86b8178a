//! What walks came to, room by room and in all: lines, summary, bill, exit status.

use std::collections::BTreeSet;
use std::time::Instant;

use ably_chat_exporter::backfill::{Backfill, Tally, WalkError, Walked, Window};
use ably_chat_exporter::chat::RoomName;
use serde_json::{Value, json};

use crate::Exit;
use crate::output::{Output, counted};
use crate::walks::Job;

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
    complete: u64,
    already: u64,
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

    /// Adds a room's walk, and prints what it came to.
    pub(crate) fn add(&mut self, output: &Output, room: &RoomName, walked: &Walked) {
        self.tally.add(&walked.tally);
        self.done.add(&walked.done());
        self.receipt_units += walked.receipt_units;
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
                "{room}: unknown; the table has nothing of it, and Ably nothing of that time (is \
                 it the right name?)"
            ),
            "walked" if walked.tally.messages == 0 => {
                format!("{room}: walked; Ably has no messages of that time")
            }
            _ => format!("{room}: {state}; {}", words(&walked.tally, self.job)),
        };
        output.result("room", &members, &text);
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

    /// Adds a walk that failed. A failure of all rooms is printed once.
    pub(crate) fn fail(&mut self, output: &Output, room: RoomName, failure: WalkError) {
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
        let bill = self.bill(backfill);
        output.result("summary", &self.members(&bill), &self.text(&bill));
        if !self.stopped.is_empty() && self.fatal.is_none() {
            output.note(match self.job.is_executed {
                true => "stopped: to go on from there, give the same command again",
                false => "stopped: nothing was written, so the same command begins anew",
            });
        }
        self.exit()
    }

    fn bill(&self, backfill: &Backfill) -> Bill {
        let (requests, messages) = backfill.rest().usage();
        // A comparison writes nothing; a dry run says what the run would.
        let units = match self.job.is_executed || self.job.goes_on {
            true => self.done.write_units + self.receipt_units,
            false => 0,
        };
        let seconds = self.begun.elapsed().as_secs_f64().max(requests as f64 / self.pace).round();
        Bill { requests, messages, units, usd: units as f64 * USD_PER_WRITE_UNIT, seconds }
    }

    fn text(&self, bill: &Bill) -> String {
        let Bill { requests, messages, units, usd, seconds } = bill;
        let mut text = format!(
            "{} walked, {} complete before; {}\nAbly: {} in {}. DynamoDB: {}, {usd:.4} USD \
             (us-east-1, on demand). {seconds} s.",
            counted(self.complete, "room"),
            self.already,
            words(&self.tally, self.job),
            counted(*messages, "message"),
            counted(*requests, "request"),
            counted(*units, "write unit"),
        );
        if !self.job.is_executed {
            text += "\nNothing was written.";
        }
        if self.job.goes_on && !self.job.is_executed {
            text += &self.takes();
        }
        let lists =
            [(&self.failed, "failed"), (&self.stopped, "stopped"), (&self.unknown, "unknown")];
        for (rooms, what) in lists.into_iter().filter(|(rooms, _)| !rooms.is_empty()) {
            let names: Vec<_> = rooms.iter().map(|room| room.0.as_str()).collect();
            text +=
                &format!("\n{} {what}: {}", counted(rooms.len() as u64, "room"), names.join(", "));
        }
        text
    }

    /// What a dry run says of the run that it stands for.
    fn takes(&self) -> String {
        if !self.failed.is_empty() || !self.stopped.is_empty() {
            return " It did not get to the end, so `--execute` may take more.".into();
        }
        let until = self.window.until;
        format!(
            " That is what `--execute --until {until}` takes, though writing takes longer; this \
             dry run has used as much of Ably's quota."
        )
    }

    fn members(&self, bill: &Bill) -> Value {
        let mut members = json!(self.tally);
        members["rooms"] = json!({"walked": self.complete, "completeBefore": self.already,
            "stopped": self.stopped, "failed": self.failed, "unknown": self.unknown});
        members["from"] = json!(self.window.from);
        members["until"] = json!(self.window.until);
        members["executed"] = json!(self.job.is_executed);
        members["error"] = json!(self.fatal);
        members["ablyRequests"] = json!(bill.requests);
        members["ablyMessages"] = json!(bill.messages);
        members["writeUnits"] = json!(bill.units);
        members["usd"] = json!(bill.usd);
        members["seconds"] = json!(bill.seconds);
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

/// What walks used, or would use.
struct Bill {
    requests: u64,
    messages: u64,
    units: u64,
    usd: f64,
    seconds: f64,
}

/// Counts as a sentence.
fn words(tally: &Tally, job: Job) -> String {
    let Tally { found, missing, different, repaired, .. } = tally;
    let mut text = format!(
        "{} and {} at Ably: {found} found, {missing} missing ({} outdated), {different} different; \
         reactions differ on {}",
        counted(tally.messages, "message"),
        counted(tally.versions, "version"),
        counted(tally.older, "message"),
        counted(tally.reactions, "message"),
    );
    if job.annotations {
        text += &format!(", {} missing", counted(tally.annotations, "individual reaction"));
    }
    text + &format!("; {repaired} repaired")
}

#[cfg(test)]
mod tests {
    use ably_chat_exporter::backfill::Repair;

    use super::*;

    const DRY_RUN: Job = Job {
        repair: Repair::Missing,
        is_executed: false,
        annotations: false,
        is_full: false,
        goes_on: true,
    };

    #[test]
    fn regression_a_dry_run_that_failed_or_was_stopped_is_no_bill() {
        let total = || Total::new(Window { from: 0, until: 1 }, DRY_RUN, 10.0);
        let text = |total: &Total| {
            total.text(&Bill { requests: 1, messages: 2, units: 3, usd: 0.0, seconds: 1.0 })
        };
        assert!(text(&total()).contains("That is what `--execute --until 1` takes"));
        let rooms = || BTreeSet::from([RoomName("r".into())]);
        for total in [Total { failed: rooms(), ..total() }, Total { stopped: rooms(), ..total() }] {
            let text = text(&total);
            assert!(!text.contains("That is what"), "{text}");
            assert!(text.contains("Nothing was written. It did not get to the end"), "{text}");
        }
    }

    #[test]
    fn counts_are_in_the_singular_and_the_plural() {
        let tally = Tally { messages: 1, versions: 2, missing: 1, older: 1, ..Tally::default() };
        let job = |annotations| Job { annotations, ..DRY_RUN };
        assert_eq!(
            words(&tally, job(false)),
            "1 message and 2 versions at Ably: 0 found, 1 missing (1 message outdated), 0 \
             different; reactions differ on 0 messages; 0 repaired"
        );
        assert!(words(&tally, job(true)).contains("0 messages, 0 individual reactions missing;"));
    }
}
