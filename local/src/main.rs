//! The function on this machine, against a DynamoDB engine in this process: what `make run`,
//! `make watch` and `make invoke` start.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod show;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ably_chat_exporter::store::{Settings, Store};
use serde_json::Value;
use testkit::template::Template;
use testkit::{Answer, Engine, FunctionProcess, RuntimeApi, Services};

/// Where `watch` leaves the engine's address for `show`: beside this program.
const ENDPOINT_FILE: &str = "local-endpoint";
/// What the samples are encrypted, signed and sent with; the first is from Ably's test fixtures.
const SAMPLE_SECRETS: [(&str, &str); 3] = [
    ("CIPHER_KEY", "WUP6u0K7MXI5Zeo0VppPwg=="),
    ("WEBHOOK_KEYS", "aB3dEf.a1B2c3:the-secret-of-the-samples"),
    ("WEBHOOK_TOKEN", "the-token-of-the-samples"),
];

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, events)) if verb == "run" => run(events).await,
        Some((verb, command)) if verb == "watch" => watch(command).await,
        Some((verb, _)) if verb == "show" => show_watched().await,
        _ => Err("usage: local run [EVENT…] | local watch COMMAND… | local show".into()),
    }
}

/// Sends events through the built function, and shows what they left.
async fn run(events: &[String]) -> Result<(), Box<dyn Error>> {
    let paths = event_files(events)?;
    let (engine, services) = (Engine::start().await, Services::start().await);
    let api = RuntimeApi::start().await;
    let binary = beside("exporter")?;
    let mut env = [environment(&engine), services.env()].concat();
    env.push(("FAILURE_QUEUE_URL".into(), services.queue_url()));
    let function = FunctionProcess::spawn(&binary, &api, &env);
    println!("Events, as the function answered them:");
    for path in paths {
        let body = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let answer = tokio::select! {
            answer = api.invoke(body, Duration::from_secs(30)) => answer,
            () = function.ended() => return Err(function.kill().await.into()),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        println!("  {name:<24} {}", describe(&answer));
    }
    println!("\nParked in the failure queue: {}", services.messages().len());
    for message in services.messages() {
        let parked: Value = serde_json::from_str(&message)?;
        println!("  {}", parked["parked"]["reason"].as_str().unwrap_or_default());
    }
    show::table(&engine.client(), &store(engine.client())).await
}

/// Starts an engine, and runs a command that finds it in its environment.
async fn watch(command: &[String]) -> Result<(), Box<dyn Error>> {
    let (program, arguments) = command.split_first().ok_or("watch what?")?;
    let engine = Engine::start().await;
    std::fs::write(beside(ENDPOINT_FILE)?, &engine.endpoint)?;
    println!("DynamoDB at {}, table {:?}; ends with this program", engine.endpoint, Engine::TABLE);
    // Ctrl-C goes to the command too; what ends it ends this.
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let status = tokio::process::Command::new(program)
        .args(arguments)
        .envs(environment(&engine))
        .status()
        .await
        .map_err(|error| format!("{program}: {error}"))?;
    std::fs::remove_file(beside(ENDPOINT_FILE)?)?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}").into()) }
}

/// Shows the table of a running `watch`.
async fn show_watched() -> Result<(), Box<dyn Error>> {
    let endpoint = std::fs::read_to_string(beside(ENDPOINT_FILE)?)
        .map_err(|_| "nothing is running: start `make watch` in another terminal")?;
    let client = testkit::client(&endpoint);
    show::table(&client, &store(client.clone())).await
}

/// The path of a file in this program's folder.
fn beside(name: &str) -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn store(client: aws_sdk_dynamodb::Client) -> Store {
    Store::new(client, Engine::TABLE, Settings::default())
}

/// The engine's environment, the samples' secrets, and whatever setting is set where this is run.
fn environment(engine: &Engine) -> Vec<(String, String)> {
    let mut env = engine.env();
    env.extend(SAMPLE_SECRETS.map(|(name, value)| (name.into(), value.into())));
    for name in Template::default().variables("Exporter") {
        #[expect(clippy::disallowed_methods, reason = "hands settings on, reads none")]
        if let (Ok(value), true) = (std::env::var(name), name != "TABLE_NAME") {
            env.push((name.into(), value));
        }
    }
    env
}

/// The files to send: all of `events/`, Ably's payloads first and then the same as AWS services hand
/// them over; or those named, with or without folder and ending.
fn event_files(names: &[String]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
    let folder = root.join("events");
    if names.is_empty() {
        let mut paths = Vec::new();
        for folder in [folder.join("deliveries"), folder] {
            for entry in std::fs::read_dir(folder)? {
                paths.push(entry?.path());
            }
        }
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort_by_key(|path| (path.components().count(), path.clone()));
        return Ok(paths);
    }
    let path = |name: &String| {
        let sample = folder.join(name).with_extension("json");
        if sample.exists() { sample } else { PathBuf::from(name) }
    };
    Ok(names.iter().map(path).collect())
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Error(error) => format!(
            "{}: {}",
            error["errorType"].as_str().unwrap_or("error"),
            error["errorMessage"].as_str().unwrap_or_default()
        ),
        Answer::Response(answer) => match (&answer["batchItemFailures"], &answer["body"]) {
            (Value::Array(failures), _) if failures.is_empty() => "all acknowledged".into(),
            (Value::Array(failures), _) => {
                let ids = failures.iter().filter_map(|one| one["itemIdentifier"].as_str());
                format!("to come again: {}", ids.collect::<Vec<_>>().join(", "))
            }
            (_, Value::String(body)) => {
                let report = serde_json::from_str(body).unwrap_or_default();
                format!("{} {}", answer["statusCode"], counts(&report))
            }
            _ => counts(answer),
        },
    }
}

fn counts(report: &Value) -> String {
    let counts = ["stored", "superseded"].map(|name| (name.to_owned(), &report[name]));
    let skips = report["skipped"].as_object().into_iter().flatten();
    let skips = skips.map(|(reason, count)| (format!("skipped ({reason})"), count));
    let counts = counts.into_iter().chain(skips);
    let counts = counts.filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0));
    let words: Vec<_> = counts.map(|(name, n): (String, &Value)| format!("{name} {n}")).collect();
    words.join(", ")
}
