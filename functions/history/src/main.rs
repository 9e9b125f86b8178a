//! The history Lambda function: settings, logs, set-up, run.

use std::sync::Arc;

use ably_chat_exporter::aws::Identity;
use ably_chat_exporter::config::HistoryConfig;
use ably_chat_exporter::history::{AnswerLimit, Invocation, router};
use ably_chat_exporter::logs::init_logs;
use ably_chat_exporter::setup;
use lambda_http::request::RequestContext;
use lambda_http::{Error, Request, RequestExt, Service, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = setup::or_exit(HistoryConfig::from_env());
    init_logs(config.config.log_level);
    let history = setup::or_exit(setup::history(config, Identity::Environment).await);
    let router = router(Arc::new(history));
    let handle = |mut request: Request| {
        if matches!(request.request_context_ref(), Some(RequestContext::Alb(_))) {
            request.extensions_mut().insert(AnswerLimit::LOAD_BALANCER);
        }
        if let Some(context) = request.lambda_context_ref() {
            let invocation = Invocation {
                request_id: context.request_id.clone(),
                version: context.env_config.version.clone(),
                deadline: context.deadline,
            };
            request.extensions_mut().insert(invocation);
        }
        router.clone().call(request)
    };
    lambda_http::run(service_fn(handle)).await
}
