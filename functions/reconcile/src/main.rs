//! The reconcile Lambda function: settings, logs, set-up, run.

use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::logs::init_logs;
use ably_chat_exporter::setup;
use lambda_runtime::{Error, Runtime, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = setup::or_exit(AblyRestConfig::from_env(true));
    init_logs(config.config.log_level);
    let function = &setup::or_exit(setup::reconcile(config).await);
    Runtime::new(service_fn(|event| function.handle(event))).run().await
}
