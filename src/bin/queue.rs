//! The Ably Queue consumer: flags, logs, settings, store, run.

use std::io::{self, Write};
use std::process::ExitCode;

use ably_chat_exporter::config::QueueConfig;
use ably_chat_exporter::logs::init_logs;
use ably_chat_exporter::queue::{Consumer, Options, Refused, Status, check, serve};
use ably_chat_exporter::setup::{self, NotStarted};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Stores what comes through Ably Queues in DynamoDB. Settings are environment variables;
/// docs/CONFIGURATION.md describes them.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Consume the queue of dead letters of each queue's app as well
    #[arg(long)]
    dead_letters: bool,
    /// Ask the consumer that runs on this machine how it is, and exit
    #[arg(long)]
    check: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.check {
        return ask();
    }
    let config = setup::or_exit(QueueConfig::from_env(flags.dead_letters));
    init_logs(config.config.log_level);
    match run(config).await {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(End::NotStarted(error)) => {
            error.log();
            ExitCode::FAILURE
        }
        Err(End::Refused(error)) => {
            tracing::error!(reason = %error, "ended");
            ExitCode::FAILURE
        }
    }
}

/// Why the consumer ends by itself.
enum End {
    NotStarted(NotStarted),
    Refused(Refused),
}

impl From<NotStarted> for End {
    fn from(error: NotStarted) -> Self {
        Self::NotStarted(error)
    }
}

async fn run(config: QueueConfig) -> Result<(), End> {
    let stop = stop_on_signals().map_err(|error| NotStarted::wrong(error.to_string()))?;
    let status = Status::new();
    let address = serve(config.http_address, &status).await.map_err(|error| {
        NotStarted::wrong(format!("HTTP_ADDRESS {}: {error}", config.http_address))
    })?;
    tracing::info!(%address, "serving /healthz and /metrics");
    let ingest = setup::consumer_ingest(config.config).await?;
    let options = Options {
        address: config.address,
        queues: config.queues,
        prefetch: config.prefetch,
        patience: Options::PATIENCE,
    };
    let consumer = Consumer::new(ingest, options, status);
    consumer.check_table(&stop).await.map_err(NotStarted::wrong)?;
    consumer.run(&stop).await.map_err(End::Refused)
}

/// A wish to stop, from the first SIGTERM or Ctrl-C on.
fn stop_on_signals() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopping.cancel();
    });
    Ok(stop)
}

fn ask() -> ExitCode {
    let answer = QueueConfig::http_address()
        .map_err(|error| error.to_string())
        .and_then(|address| check(address).map_err(|error| error.to_string()));
    match answer {
        Ok(health) => {
            // What is not for the exit code, such as a failing table, is for whoever reads this.
            writeln!(io::stdout(), "{health}").ok();
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
