//! The built function, as Lambda runs it.

use std::path::Path;
use std::time::Duration;

use testkit::{Answer, Engine, FunctionProcess, RuntimeApi};

const BINARY: &str = env!("CARGO_BIN_EXE_ably-chat-exporter");
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub fn spawn(api: &RuntimeApi, env: &[(String, String)], more: &[(&str, &str)]) -> FunctionProcess {
    let more = more.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    // Notes of rooms have tests of their own, and would be in the way of those that count rows.
    let quiet = [("ROOM_INDEX".to_owned(), "off".to_owned())];
    let env: Vec<_> = env.iter().cloned().chain(quiet).chain(more).collect();
    FunctionProcess::spawn(Path::new(BINARY), api, &env)
}

/// A file of `events/`; or of `events/deliveries/`, by that name.
pub fn sample(event: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("events/{event}.json"));
    std::fs::read(path).expect("the event file exists")
}

/// Runs the function with these settings over these bodies; answers, and what it logged.
pub async fn run(
    engine: &Engine,
    settings: &[(&str, &str)],
    bodies: &[Vec<u8>],
) -> (Vec<Answer>, String) {
    let api = RuntimeApi::start().await;
    let function = spawn(&api, &engine.env(), settings);
    let mut answers = Vec::new();
    for body in bodies {
        answers.push(api.invoke(body.clone(), TIMEOUT).await);
    }
    (answers, function.kill().await)
}

pub fn error(answer: &Answer) -> (&str, &str) {
    match answer {
        Answer::Error(error) => (
            error["errorType"].as_str().expect("an errorType"),
            error["errorMessage"].as_str().expect("an errorMessage"),
        ),
        Answer::Response(report) => panic!("not an error: {report}"),
    }
}
