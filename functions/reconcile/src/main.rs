//! The reconcile Lambda function: logs, settings, run.

use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::logs::{init_logs, wrong_settings};
use ably_chat_exporter::reconcile::Function;
use lambda_runtime::{Error, Runtime, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut config = AblyRestConfig::from_env(true).unwrap_or_else(|error| {
        wrong_settings(&error.0);
        std::process::exit(1)
    });
    init_logs(config.config.log_level);
    let sdk = aws::connect(config.config.platform_roots, Identity::Environment).await;
    if let Err(reason) = config.config.fetch_secrets(&sdk).await {
        tracing::error!(reason, "not started: a secret cannot be read");
        std::process::exit(1)
    }
    let function = Function::new(config, &sdk)?;
    let function = &function;
    Runtime::new(service_fn(|event| function.handle(event))).run().await
}
