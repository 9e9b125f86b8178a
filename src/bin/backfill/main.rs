//! The backfill: flags, settings, rooms, walks.

mod args;
mod output;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::backfill::{
    Backfill, Receipt, Repair, Stop, Tally, Walked, Window, active_rooms, stored_rooms, verify,
};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::ingest::Ingest;
use ably_chat_exporter::logs::init_warnings;
use ably_chat_exporter::rest::{AblyRest, ApiKey};
use ably_chat_exporter::secret::Secret;
use ably_chat_exporter::store::{Direction, Document, ReactionClients, Store};
use ably_chat_exporter::time;
use args::{Command, Flags, Rooms, Verify, Walk};
use clap::Parser;
use futures_util::{StreamExt, stream};
use output::Output;
use serde_json::json;

/// Rooms walked at once; the pace is for all of them together.
const ROOMS: usize = 16;
/// Ably's history may lag behind what is said.
const LAST_MINUTE: i64 = 60_000;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the program says by its exit status.
#[derive(Clone, Copy)]
enum Outcome {
    /// Everything is there.
    Complete,
    /// Something is missing, different or altered.
    Gaps,
    /// Some rooms failed, or the program could not begin.
    Failed,
    /// It was stopped, and can be resumed.
    Stopped,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Complete => 0,
            Outcome::Gaps => 1,
            Outcome::Failed => 2,
            Outcome::Stopped => 130,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    init_warnings(std::io::stderr().is_terminal());
    let ended = match Flags::parse().command {
        Command::Run(run) => {
            let repair = Repair::Missing;
            let job = Job {
                repair,
                is_executed: run.execute,
                annotations: run.annotations,
                is_run: true,
            };
            walk_rooms(run.rooms, run.walk, job).await
        }
        Command::Reconcile(reconcile) => {
            let repair = if reconcile.repair { Repair::All } else { Repair::Nothing };
            let job = Job { repair, is_executed: true, annotations: false, is_run: false };
            walk_rooms(reconcile.rooms, reconcile.walk, job).await
        }
        Command::Verify(verify) => verify_receipts(verify).await,
    };
    ended
        .unwrap_or_else(|error| {
            eprintln!("error: {error}");
            Outcome::Failed
        })
        .into()
}

/// What is to be done in each room.
#[derive(Clone, Copy)]
struct Job {
    repair: Repair,
    is_executed: bool,
    annotations: bool,
    /// `run`, which goes on where complete receipts end; `reconcile` looks at everything again.
    is_run: bool,
}

/// The sum over all rooms.
#[derive(Default)]
struct Total {
    tally: Tally,
    receipt_units: u64,
    complete: usize,
    already: usize,
    stopped: BTreeSet<RoomName>,
    failed: BTreeSet<RoomName>,
}

async fn walk_rooms(rooms: Rooms, walk: Walk, job: Job) -> Result<Outcome, Error> {
    let window = window(&walk)?;
    let backfill = Arc::new(prepare(&walk, job).await?);
    let rooms = gather(&rooms, &backfill, window).await?;
    let output = Arc::new(Output::new(!job.is_run));
    stop_on_ctrl_c(&backfill, &output);
    output.begin(rooms.len());
    let mut total = Total::default();
    let mut walks = stream::iter(rooms)
        .map(|room| {
            let (backfill, output) = (Arc::clone(&backfill), Arc::clone(&output));
            // A task of its own: rooms share the processors.
            let walk = walk_room(backfill, output, room.clone(), window, job.is_run);
            async move { (room, tokio::spawn(walk).await) }
        })
        .buffer_unordered(ROOMS);
    let mut fatal = None;
    while let Some((room, walked)) = walks.next().await {
        output.room_done();
        match walked? {
            Ok(walked) => total.add(&output, &room, window, &walked, walk.receipts.as_deref())?,
            Err(failure) => {
                let members = json!({"room": room, "reason": failure.reason});
                output.result("failed", &members, &format!("{room}: {}", failure.reason));
                if failure.is_fatal {
                    backfill.stop.now();
                    fatal = Some(failure.reason);
                }
                total.failed.insert(room);
            }
        }
    }
    output.end();
    if let Some(reason) = fatal {
        return Err(reason.into());
    }
    Ok(total.conclude(&output, &backfill, window, job))
}

fn window(walk: &Walk) -> Result<Window, Error> {
    let latest = time::now() - LAST_MINUTE;
    let until = walk.until.unwrap_or(latest);
    if until > latest {
        return Err("--until: at least a minute ago, for Ably's history lags behind".into());
    }
    if walk.since >= until {
        return Err("--since is not before --until".into());
    }
    Ok(Window { from: walk.since, until })
}

async fn prepare(walk: &Walk, job: Job) -> Result<Backfill, Error> {
    let config = AblyRestConfig::from_env(true)?;
    let clients = config.config.settings.reaction_clients;
    if job.annotations && clients == ReactionClients::Totals {
        return Err(
            "--annotations stores who reacted, and REACTION_CLIENTS=totals forbids that".into()
        );
    }
    if let Some(directory) = &walk.receipts {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("--receipts {}: {error}", directory.display()))?;
    }
    let sdk = aws::connect(config.config.platform_roots, Identity::Anywhere).await;
    let source = config.api_key.ok_or("ABLY_API_KEY is not set")?;
    let key = Secret::new(source, ApiKey::parse, sdk.clone()).get().await?;
    let rest = AblyRest::new(&key, config.url.as_deref(), Some(walk.pace))?;
    let mut backfill = Backfill::new(rest, Ingest::new(config.config, &sdk), Stop::new(None));
    backfill.repair = job.repair;
    backfill.is_executed = job.is_executed;
    backfill.annotations = job.annotations;
    Ok(backfill)
}

async fn walk_room(
    backfill: Arc<Backfill>,
    output: Arc<Output>,
    room: RoomName,
    mut window: Window,
    is_run: bool,
) -> Result<Walked, ably_chat_exporter::backfill::Failure> {
    if backfill.stop.is_due() {
        return Ok(Walked { is_stopped: true, ..Walked::default() });
    }
    let origin = window.from;
    if is_run {
        window.from = backfill.covered_until(&room, window.from).await?;
    }
    if window.from >= window.until {
        return Ok(Walked::default());
    }
    backfill.walk(&room, (window, origin), &*output).await
}

async fn gather(
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

fn named(rooms: &[String], file: Option<&Path>) -> Result<BTreeSet<RoomName>, Error> {
    let mut names: BTreeSet<RoomName> = rooms.iter().map(|room| RoomName(room.clone())).collect();
    if let Some(file) = file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("--rooms-file {}: {error}", file.display()))?;
        names
            .extend(text.lines().filter(|line| !line.is_empty()).map(|line| RoomName(line.into())));
    }
    match names.contains(&RoomName::default()) {
        true => Err("a room's name is empty".into()),
        false => Ok(names),
    }
}

fn stop_on_ctrl_c(backfill: &Arc<Backfill>, output: &Arc<Output>) {
    let (backfill, output) = (Arc::clone(backfill), Arc::clone(output));
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            output.note("stopping once what is begun is stored; Ctrl-C again ends at once");
            backfill.stop.now();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

impl Total {
    /// Takes in a room's walk, and prints what it came to.
    fn add(
        &mut self,
        output: &Output,
        room: &RoomName,
        window: Window,
        walked: &Walked,
        directory: Option<&Path>,
    ) -> Result<(), Error> {
        self.tally.add(&walked.tally);
        self.receipt_units += walked.receipt_units;
        for receipt in &walked.receipts {
            if let Some(directory) = directory {
                leave(directory, receipt)?;
            }
        }
        let state = if walked.failures > 0 {
            self.failed.insert(room.clone());
            "failed"
        } else if walked.is_stopped {
            self.stopped.insert(room.clone());
            "stopped"
        } else if walked.receipts.is_empty() {
            self.already += 1;
            "complete before"
        } else {
            self.complete += 1;
            "walked"
        };
        let mut members = json!(walked.tally);
        members["room"] = json!(room);
        members["state"] = json!(state);
        members["until"] = json!(window.until);
        members["failures"] = json!(walked.failures);
        let text = match state {
            "complete before" => format!("{room}: complete before"),
            "walked" if walked.tally.messages == 0 => {
                format!("{room}: walked; Ably has no messages of that time (is it the right name?)")
            }
            _ => format!("{room}: {state}; {}", words(&walked.tally)),
        };
        output.result("room", &members, &text);
        Ok(())
    }

    fn conclude(&self, output: &Output, backfill: &Backfill, window: Window, job: Job) -> Outcome {
        let (requests, messages) = backfill.rest().usage();
        let units = self.tally.write_units + self.receipt_units;
        let mut members = json!(self.tally);
        members["rooms"] = json!({"walked": self.complete, "completeBefore": self.already,
            "stopped": self.stopped, "failed": self.failed});
        members["from"] = json!(window.from);
        members["until"] = json!(window.until);
        members["executed"] = json!(job.is_executed);
        members["ablyRequests"] = json!(requests);
        members["ablyMessages"] = json!(messages);
        members["writeUnits"] = json!(if job.is_executed || job.is_run { units } else { 0 });
        let mut text = format!(
            "{} rooms walked, {} complete before; {}\nAbly: {messages} messages in {requests} requests. \
             DynamoDB: {units} write units.",
            self.complete,
            self.already,
            words(&self.tally),
        );
        if !job.is_executed {
            let until = window.until;
            text += &format!(
                "\nNothing was written. These are the bills of `--execute --until {until}`; what Ably \
                 counts, this dry run has used as well."
            );
        }
        for (rooms, what) in [(&self.failed, "failed"), (&self.stopped, "stopped")] {
            if !rooms.is_empty() {
                let names: Vec<_> = rooms.iter().map(|room| room.0.as_str()).collect();
                text += &format!("\n{} rooms {what}: {}", rooms.len(), names.join(", "));
            }
        }
        output.result("summary", &members, &text);
        if !self.stopped.is_empty() {
            output.note("stopped: to go on from there, give the same command again");
        }
        let has_gaps = match job.repair {
            Repair::Nothing => self.tally.gaps() > 0,
            Repair::Missing => self.tally.different > 0,
            Repair::All => false,
        };
        match (self.failed.is_empty(), self.stopped.is_empty(), has_gaps) {
            (false, ..) => Outcome::Failed,
            (_, false, _) => Outcome::Stopped,
            (_, _, true) => Outcome::Gaps,
            (true, true, false) => Outcome::Complete,
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

async fn verify_receipts(flags: Verify) -> Result<Outcome, Error> {
    let config = AblyRestConfig::from_env(false)?.config;
    let sdk = aws::connect(config.platform_roots, Identity::Anywhere).await;
    let store = Ingest::new(config, &sdk).store;
    let output = Output::new(true);
    let (mut verified, mut broken) = (0, 0);
    for file in &flags.receipts {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("--receipt {}: {error}", file.display()))?;
        let receipt = serde_json::from_str(&text)
            .map_err(|error| format!("--receipt {}: no receipt: {error}", file.display()))?;
        verified += 1;
        broken += usize::from(!verify_one(&store, &output, &receipt).await?);
    }
    for room in named(&flags.rooms, flags.rooms_file.as_deref())? {
        let all = (Direction::OldestFirst, None);
        let receipts = store.documents::<Receipt>(&room, Document::Receipt, all).await?;
        if receipts.is_empty() {
            let members = json!({"room": room, "reason": "no receipt"});
            output.result("failed", &members, &format!("{room}: there is no receipt in the table"));
            broken += 1;
        }
        for receipt in receipts {
            verified += 1;
            let holds = match receipt {
                Some(receipt) => verify_one(&store, &output, &receipt).await?,
                None => {
                    let members = json!({"room": room, "reason": "unreadable receipt"});
                    output.result("failed", &members, &format!("{room}: a receipt is unreadable"));
                    false
                }
            };
            broken += usize::from(!holds);
        }
    }
    let members = json!({"receipts": verified, "broken": broken});
    output.result("summary", &members, &format!("{verified} receipts, {broken} broken"));
    Ok(if broken == 0 { Outcome::Complete } else { Outcome::Gaps })
}

/// Prints one line; whether the table holds everything.
async fn verify_one(store: &Store, output: &Output, receipt: &Receipt) -> Result<bool, Error> {
    let mut problems = verify(store, receipt).await?;
    if !receipt.is_complete() {
        let missing = receipt.tally.missing + receipt.tally.annotations - receipt.tally.repaired;
        problems
            .push(format!("{missing} versions were missing when it was made, and not repaired"));
    }
    let room = &receipt.room;
    let span = format!("{} to {}", time::in_words(receipt.from), time::in_words(receipt.until));
    let text = match &problems[..] {
        [] => format!("{room}: {span}: holds all {} versions", receipt.tally.versions),
        problems => format!("{room}: {span}: BROKEN: {}", problems.join("; ")),
    };
    let members = json!({"room": room, "from": receipt.from, "until": receipt.until,
        "versions": receipt.tally.versions, "holds": problems.is_empty(), "problems": problems});
    output.result("receipt", &members, &text);
    Ok(problems.is_empty())
}
