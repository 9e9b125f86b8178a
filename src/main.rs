//! The exporter's Lambda function: logs, settings, store, run.

use ably_chat_exporter::ably::{Decoder, WebhookKeys, WebhookTokens};
use ably_chat_exporter::aws;
use ably_chat_exporter::config::Config;
use ably_chat_exporter::failure_queue::FailureQueue;
use ably_chat_exporter::ingest::Ingest;
use ably_chat_exporter::lambda::{Event, Function, Metrics, WebhookAuth, init_logs};
use ably_chat_exporter::secret::Secret;
use ably_chat_exporter::store::Store;
use aws_sdk_dynamodb::Client;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::from_env().unwrap_or_else(|error| {
        init_logs(tracing::Level::ERROR);
        tracing::error!(mistakes = ?error.0, "not started: wrong settings");
        std::process::exit(1)
    });
    init_logs(config.log_level);
    let sdk = aws::connect(config.platform_roots).await;
    let function = Function {
        ingest: Ingest {
            decoder: Decoder { app_id: config.ably_app_id, cipher_key: config.cipher_key },
            store: Store::new(Client::new(&sdk), config.table_name, config.settings),
            room_filter: config.room_filter,
        },
        webhook_auth: WebhookAuth {
            keys: config
                .webhook_keys
                .map(|source| Secret::new(source, WebhookKeys::parse, sdk.clone())),
            token: config
                .webhook_token
                .map(|source| Secret::new(source, WebhookTokens::parse, sdk.clone())),
        },
        failure_queue: config.failure_queue_url.map(|url| FailureQueue::new(url, sdk.clone())),
        metrics: Metrics::default(),
    };
    let function = &function;
    let handler = service_fn(|event: LambdaEvent<Event>| function.handle(event));
    Runtime::new(handler).run().await
}
