//! `serve`: the read API as a server of its own, for local use, containers and tests.

use std::net::SocketAddr;
use std::sync::Arc;

use ably_chat_exporter::aws::Identity;
use ably_chat_exporter::config::HistoryConfig;
use ably_chat_exporter::history::router;
use ably_chat_exporter::setup;
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::connect::check;
use crate::help::Ending;
use crate::output::{Output, Style};
use crate::{Error, Exit};

const ENDING: Ending = Ending::of_server(
    &[
        ("On this machine alone", "serve"),
        ("In a container, behind something that speaks TLS", "serve --listen 0.0.0.0:8080"),
    ],
    &[
        (Exit::Complete, "a signal ended it, and every request was answered"),
        (Exit::Failed, "it could not begin"),
    ],
);

/// Serves the table as Ably's Chat REST API serves rooms, so that Ably's own SDKs read it.
///
/// The same as the history function does in AWS. It speaks HTTP: whatever leaves this machine needs
/// something in front of it that speaks TLS, for requests carry credentials.
#[derive(Args)]
#[command(after_long_help = ENDING)]
pub(crate) struct Flags {
    /// The address and the port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

pub(crate) async fn run(flags: Flags, style: Style) -> Result<Exit, Error> {
    let config = HistoryConfig::from_env()?;
    let history = setup::history(config, Identity::Anywhere).await?;
    check(&history.store).await?;
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listener = TcpListener::bind(flags.listen)
        .await
        .map_err(|error| format!("--listen {}: {error}", flags.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    let text = format!("Listening on {url}. Ctrl-C ends it.");
    Output::new(style, false).result("listening", &json!({ "url": url }), &text);
    let ended = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let router = router(Arc::new(history));
    axum::serve(listener, router).with_graceful_shutdown(ended).await?;
    Ok(Exit::Complete)
}
