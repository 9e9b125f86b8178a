//! The exporter's Lambda function: logs, settings, store, run.

use ably_chat_exporter::ably::Decoder;
use ably_chat_exporter::config::Config;
use ably_chat_exporter::ingest::Ingest;
use ably_chat_exporter::lambda::{Event, Function, Metrics, init_logs};
use ably_chat_exporter::store::{self, Store};
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::from_env().unwrap_or_else(|error| {
        init_logs(tracing::Level::ERROR);
        tracing::error!(mistakes = ?error.0, "not started: wrong settings");
        std::process::exit(1)
    });
    init_logs(config.log_level);
    let client = store::connect(config.platform_roots).await;
    let function = Function::new(
        Ingest {
            decoder: Decoder { app_id: config.ably_app_id, cipher_key: config.cipher_key },
            store: Store::new(client, config.table_name, config.settings),
            room_filter: config.room_filter,
        },
        Metrics::default(),
    );
    let function = &function;
    let handler = service_fn(|event: LambdaEvent<Event>| function.handle(event));
    Runtime::new(handler).run().await
}
