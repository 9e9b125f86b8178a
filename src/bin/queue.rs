//! The Ably Queue consumer: flags, logs, settings, store, run.

use std::process::ExitCode;

use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::config::{ConfigError, QueueConfig};
use ably_chat_exporter::intake::Intake;
use ably_chat_exporter::logs::init_logs;
use ably_chat_exporter::queue::{Consumer, Status, check, serve};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Stores what comes through Ably Queues in DynamoDB. Settings are environment variables; README.md
/// describes them.
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
    let config = match QueueConfig::from_env(flags.dead_letters) {
        Ok(config) => config,
        Err(ConfigError(mistakes)) => {
            init_logs(tracing::Level::ERROR);
            tracing::error!(?mistakes, "not started: wrong settings");
            return ExitCode::FAILURE;
        }
    };
    init_logs(config.config.log_level);
    match run(config).await {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(reason = %error, "ended");
            ExitCode::FAILURE
        }
    }
}

async fn run(mut config: QueueConfig) -> Result<(), Box<dyn std::error::Error>> {
    let status = Status::new();
    let address = serve(config.http_address, &status)
        .await
        .map_err(|error| format!("HTTP_ADDRESS {}: {error}", config.http_address))?;
    tracing::info!(%address, "serving /healthz and /metrics");
    let sdk = aws::connect(config.config.platform_roots, Identity::Anywhere).await;
    config.config.fetch_secrets(&sdk).await?;
    let consumer = Consumer {
        intake: Intake::new(config.config, &sdk),
        address: config.address,
        queues: config.queues,
        prefetch: config.prefetch,
        status,
    };
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    };
    Ok(consumer.run(shutdown).await?)
}

fn ask() -> ExitCode {
    let answer = QueueConfig::http_address()
        .map_err(|error| error.to_string())
        .and_then(|address| check(address).map_err(|error| error.to_string()));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
