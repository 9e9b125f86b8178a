//! What is printed: results on standard output, as text on a terminal and as JSON lines elsewhere;
//! progress on standard error, as a bar on a terminal and as JSON lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ably_chat_exporter::backfill::{Finding, Gap, Observer, Tally};
use ably_chat_exporter::chat::{RoomName, Serial};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

/// Between two lines of progress.
const PERIOD: Duration = Duration::from_secs(10);

#[derive(Args, Clone, Copy)]
pub(crate) struct Style {
    /// Print JSON lines, also on a terminal
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
    /// Print results and warnings, and no progress
    #[arg(long, global = true, display_order = 100)]
    pub(crate) quiet: bool,
}

/// The one place that prints.
pub(crate) struct Output {
    is_text: bool,
    is_quiet: bool,
    /// Whether each gap is worth a line: in a table that is filled for the first time, none is.
    names_gaps: bool,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    started: Instant,
    printed: Instant,
    rooms: usize,
    done: usize,
    tally: Tally,
}

impl Output {
    pub(crate) fn new(style: Style, names_gaps: bool) -> Self {
        let has_bar = std::io::stderr().is_terminal() && !style.json && !style.quiet;
        let bar = has_bar.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            let style = "{elapsed_precise} {wide_bar} {pos}/{len} rooms, {msg}";
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()),
            );
            bar
        });
        let (now, tally) = (Instant::now(), Tally::default());
        let state = State { started: now, printed: now, rooms: 0, done: 0, tally };
        let is_text = std::io::stdout().is_terminal() && !style.json;
        Self { is_text, is_quiet: style.quiet, names_gaps, bar, state: Mutex::new(state) }
    }

    /// Prints a result: `text` for people, or `event` with these members.
    pub(crate) fn result(&self, event: &str, members: &impl Serialize, text: &str) {
        let line = if self.is_text { text.to_owned() } else { line(event, members) };
        self.print(&mut std::io::stdout(), &line);
    }

    /// Prints something for whoever waits.
    pub(crate) fn note(&self, text: &str) {
        if self.is_quiet {
            return;
        }
        let line = match self.bar {
            Some(_) => text.to_owned(),
            None => line("note", &json!({"text": text})),
        };
        self.print(&mut std::io::stderr(), &line);
    }

    /// Prints why nothing can be done.
    pub(crate) fn error(&self, reason: &str) {
        self.print(&mut std::io::stderr(), &format!("error: {reason}"));
    }

    fn print(&self, to: &mut impl Write, line: &str) {
        let mut print = || {
            // Nobody reads on: there is nobody to tell.
            writeln!(to, "{line}").ok();
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(crate) fn begin(&self, rooms: usize) {
        self.lock().rooms = rooms;
        if let Some(bar) = &self.bar {
            bar.set_length(rooms as u64);
            bar.set_message("0 messages");
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            bar.enable_steady_tick(Duration::from_millis(500));
        }
    }

    pub(crate) fn room_done(&self) {
        self.lock().done += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Output {
    fn finding(&self, room: &RoomName, finding: &Finding) {
        if !self.names_gaps && finding.gap != Gap::Different {
            return;
        }
        let (serial, version) = (&finding.serial, &finding.version);
        let text = match finding.gap {
            Gap::Missing => format!("{room}: {serial}: version {version} is missing"),
            Gap::Older => format!("{room}: {serial}: only older versions than Ably's {version}"),
            Gap::Reactions => format!("{room}: {serial}: reactions differ from Ably's"),
            Gap::Different => {
                let members = finding.members.join(", ");
                format!("{room}: {serial}: version {version} differs from Ably's in {members}")
            }
        };
        self.result("finding", &with_room(room, finding), &text);
    }

    fn failed(&self, room: &RoomName, serial: Option<&Serial>, reason: &str) {
        let name = serial.map_or("a message without serial", Serial::as_str);
        let members = json!({"room": room, "serial": serial, "reason": reason});
        self.result("failed", &members, &format!("{room}: {name}: {reason}"));
    }

    fn progress(&self, _room: &RoomName, done: &Tally) {
        let mut state = self.lock();
        state.tally.add(done);
        let Tally { messages, versions, .. } = state.tally;
        let elapsed = state.started.elapsed().as_secs_f64();
        let rate = messages as f64 / elapsed.max(0.001);
        // Nothing is known of it before a room is done.
        let rooms_left = (state.rooms - state.done.min(state.rooms)) as f64;
        let left = (state.done > 0).then(|| (elapsed / state.done as f64 * rooms_left).round());
        if let Some(bar) = &self.bar {
            let left = left.map_or(String::new(), |seconds| format!(", {seconds} s left"));
            let (messages, versions) = (counted(messages, "message"), counted(versions, "version"));
            bar.set_message(format!("{messages}, {versions}, {rate:.0} messages/s{left}"));
        } else if !self.is_quiet && state.printed.elapsed() >= PERIOD {
            state.printed = Instant::now();
            let members = json!({
                "rooms": state.rooms, "roomsDone": state.done, "messages": messages,
                "versions": versions, "messagesPerSecond": rate.round(), "secondsLeft": left,
            });
            writeln!(std::io::stderr(), "{}", line("progress", &members)).ok();
        }
    }
}

/// A number of things: `1 room`, `2 rooms`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn with_room(room: &RoomName, members: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(members).unwrap_or_default();
    value["room"] = json!(room);
    value
}

fn line(event: &str, members: &impl Serialize) -> String {
    let mut value = serde_json::to_value(members).unwrap_or_default();
    value["event"] = json!(event);
    value.to_string()
}
