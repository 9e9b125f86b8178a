//! The exporter's Lambda function: settings, logs, set-up, run.

use ably_chat_exporter::config::Config;
use ably_chat_exporter::exporter::Event;
use ably_chat_exporter::logs::init_logs;
use ably_chat_exporter::setup;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = setup::or_exit(Config::from_env());
    init_logs(config.log_level);
    let function = &setup::or_exit(setup::exporter(config).await);
    let handler = service_fn(|event: LambdaEvent<Event>| function.handle(event));
    Runtime::new(handler).run().await
}
