//! `ably-chat-archive`: one file for each command, and what they share.

mod args;
mod backfill;
mod connect;
mod exit;
mod generate;
mod help;
mod old_names;
mod output;
mod receipt_files;
mod reconcile;
mod rooms;
mod selection;
mod serve;
mod total;
mod verify;
mod walks;

use std::io::IsTerminal;
use std::process::ExitCode;

use ably_chat_exporter::logs::init_warnings;
use clap::{Parser, Subcommand};
use exit::Exit;
use output::Style;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Fills the exporter's table from Ably Chat's history, checks it, and serves it.
///
/// Settings are environment variables: those of the exporter, and some more. The help of each
/// command lists them.
#[derive(Parser)]
#[command(name = "ably-chat-archive", version, max_term_width = help::WIDTH)]
#[command(after_long_help = help::OF_ALL)]
struct Flags {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    style: Style,
}

#[derive(Subcommand)]
enum Command {
    Backfill(backfill::Flags),
    Reconcile(reconcile::Flags),
    Verify(verify::Flags),
    Rooms(rooms::Flags),
    Serve(serve::Flags),
    Generate(generate::Flags),
}

#[tokio::main]
async fn main() -> ExitCode {
    let (args, notice) = old_names::renew(std::env::args_os().collect());
    if let Some(notice) = notice {
        eprintln!("warning: {notice}");
    }
    let Flags { command, style } = Flags::parse_from(args);
    init_warnings(std::io::stderr().is_terminal() && !style.json);
    let ended = match command {
        Command::Backfill(flags) => backfill::run(flags, style).await,
        Command::Reconcile(flags) => reconcile::run(flags, style).await,
        Command::Verify(flags) => verify::run(flags, style).await,
        Command::Rooms(flags) => rooms::run(flags, style).await,
        Command::Serve(flags) => serve::run(flags, style).await,
        Command::Generate(flags) => generate::run(flags),
    };
    ended
        .unwrap_or_else(|error| {
            eprintln!("error: {error}");
            Exit::Failed
        })
        .into()
}
