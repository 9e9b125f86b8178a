//! The exporter's Lambda function: logs, settings, store, run.

use ably_chat_exporter::ably::{WebhookKeys, WebhookTokens};
use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::config::Config;
use ably_chat_exporter::intake::Intake;
use ably_chat_exporter::lambda::{Event, Function, Metrics, WebhookAuth};
use ably_chat_exporter::logs::{init_logs, wrong_settings};
use ably_chat_exporter::secret::Secret;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut config = Config::from_env().unwrap_or_else(|error| {
        wrong_settings(&error.0);
        std::process::exit(1)
    });
    init_logs(config.log_level);
    let sdk = aws::connect(config.platform_roots, Identity::Environment).await;
    if let Err(reason) = config.fetch_secrets(&sdk).await {
        tracing::error!(reason, "not started: a secret cannot be read");
        std::process::exit(1)
    }
    let (keys, token) = (config.webhook_keys.clone(), config.webhook_token.clone());
    let function = Function {
        webhook_auth: WebhookAuth {
            keys: keys.map(|source| Secret::new(source, WebhookKeys::parse, sdk.clone())),
            token: token.map(|source| Secret::new(source, WebhookTokens::parse, sdk.clone())),
        },
        intake: Intake::new(config, &sdk),
        metrics: Metrics::default(),
    };
    let function = &function;
    let handler = service_fn(|event: LambdaEvent<Event>| function.handle(event));
    Runtime::new(handler).run().await
}
