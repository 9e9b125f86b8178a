//! The backfill: flags, settings, and one file for each command.

mod args;
mod output;
mod rooms;
mod total;
mod verify;
mod walks;

use std::io::IsTerminal;
use std::process::ExitCode;

use ably_chat_exporter::backfill::Repair;
use ably_chat_exporter::logs::init_warnings;
use args::{Command, Flags};
use clap::Parser;
use output::Style;
use walks::Job;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the program says by its exit status.
#[derive(Clone, Copy)]
enum Exit {
    /// Everything is there.
    Complete,
    /// Something is missing, different or altered, or a room is not known to anybody.
    Gaps,
    /// Some rooms failed, or the program could not begin.
    Failed,
    /// It was stopped, and can be resumed.
    Stopped,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Complete => 0,
            Exit::Gaps => 1,
            Exit::Failed => 2,
            Exit::Stopped => 130,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Flags { command, json, quiet } = Flags::parse();
    init_warnings(std::io::stderr().is_terminal() && !json);
    let style = Style { json, quiet };
    let ended = match command {
        Command::Run(run) => {
            let job = Job {
                repair: Repair::Missing,
                is_executed: run.execute,
                annotations: run.annotations,
                is_full: false,
                is_run: true,
            };
            walks::walk_rooms(run.rooms, run.walk, job, style).await
        }
        Command::Reconcile(reconcile) => {
            let job = Job {
                repair: if reconcile.repair { Repair::All } else { Repair::Nothing },
                is_executed: reconcile.repair || reconcile.receipt,
                annotations: false,
                is_full: reconcile.full,
                is_run: false,
            };
            walks::walk_rooms(reconcile.rooms, reconcile.walk, job, style).await
        }
        Command::Verify(flags) => verify::verify_receipts(flags, style).await,
        Command::Rooms(known) => rooms::list(&known, style).await,
    };
    ended
        .unwrap_or_else(|error| {
            eprintln!("error: {error}");
            Exit::Failed
        })
        .into()
}
