//! The function on this machine, against a DynamoDB engine in this process: what `make run`,
//! `make watch` and `make invoke` start.

mod chat;
mod events;
mod rows;
mod screen;

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::store::{Settings, Store};
use anstyle::Style;
use aws_sdk_dynamodb::Client;
use testkit::template::Template;
use testkit::{Engine, FunctionProcess, Item, RuntimeApi, Services};

use crate::rows::Rows;
use crate::screen::{NAME, entry, heading, paragraph, styled};

/// Where `watch` leaves the engine's address for `invoke`: beside this program.
const ENDPOINT_FILE: &str = "local-endpoint";
/// What the samples are encrypted, signed and sent with; the first is from Ably's test fixtures.
const SAMPLE_SECRETS: [(&str, &str); 3] = [
    ("CIPHER_KEY", "WUP6u0K7MXI5Zeo0VppPwg=="),
    ("WEBHOOK_KEYS", "aB3dEf.a1B2c3:the-secret-of-the-samples"),
    ("WEBHOOK_TOKEN", "the-token-of-the-samples"),
];
/// What to do after `make run`.
const NEXT: [(&str, &str); 5] = [
    ("make run EVENTS=\"create update\"", "sends some of events/, or files of yours"),
    ("VERSIONS=latest make run", "takes the function's settings from the environment"),
    ("make watch, then make invoke", "keeps it running, and sends it one event at a time"),
    ("make test", "runs all tests"),
    ("make deploy", "puts it into your AWS account"),
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
        Some((verb, [event, command @ ..])) if verb == "invoke" => invoke(event, command).await,
        _ => Err("usage: local run [EVENT…] | watch COMMAND… | invoke EVENT COMMAND…".into()),
    }
}

/// Sends events through the function, and shows what they left.
async fn run(names: &[String]) -> Result<(), Box<dyn Error>> {
    let paths = events::files(names)?;
    let (engine, services) = (Engine::start().await, Services::start().await);
    let api = RuntimeApi::start().await;
    let binary = beside("exporter")?;
    let mut env = [environment(&engine), services.env()].concat();
    env.push(("FAILURE_QUEUE_URL".into(), services.queue_url()));
    let function = FunctionProcess::spawn(&binary, &api, &env);
    let mut answers = Vec::new();
    for path in paths {
        let body = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let answer = tokio::select! {
            answer = api.invoke(body, Duration::from_secs(30)) => answer,
            () = function.ended() => return Err(function.kill().await.into()),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        answers.push((name.into_owned(), answer));
    }
    let rows = testkit::rows(&engine.client()).await?;
    show_rooms(&engine.client(), &rows).await?;
    events::answers(&answers);
    events::parked(&services.messages(), &answers)?;
    rows::rows(rows, shown());
    heading("Next");
    for (command, what) in NEXT {
        entry(2, &styled(NAME, command), 32, what, Style::new());
    }
    Ok(())
}

/// Starts an engine, and runs a command that finds it in its environment.
async fn watch(command: &[String]) -> Result<(), Box<dyn Error>> {
    let (program, arguments) = command.split_first().ok_or("watch what?")?;
    let engine = Engine::start().await;
    std::fs::write(beside(ENDPOINT_FILE)?, &engine.endpoint)?;
    show_next(&engine);
    // Ctrl-C goes to the command too; what ends it ends this.
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).envs(environment(&engine));
    for name in of_cargo() {
        command.env_remove(name);
    }
    let status = command.status().await.map_err(|error| format!("{program}: {error}"))?;
    std::fs::remove_file(beside(ENDPOINT_FILE)?)?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}").into()) }
}

/// The variables by which `cargo run` tells a program of its package. To a cargo that this program
/// starts they would be a change, for which it builds ring and all that use it again.
fn of_cargo() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    let is_of_package =
        |name: &str| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|it| name.starts_with(it));
    names.filter(move |name| name.to_str().is_some_and(is_of_package))
}

/// What to do in another terminal while `watch` runs.
fn show_next(engine: &Engine) {
    let (at, table) = (&engine.endpoint, Engine::TABLE);
    heading(&format!("DynamoDB at {at}, table {table:?}; ends with this program"));
    paragraph(2, "Now, in another terminal:", Style::new());
    let invoke = "sends one of events/, and shows the table";
    entry(4, &styled(NAME, "make invoke EVENT=create"), 26, invoke, Style::new());
    paragraph(2, "and to look at the table with the AWS CLI:", Style::new());
    for (name, value) in engine.env() {
        let name = if name == "TABLE_NAME" { "TABLE" } else { &name };
        anstream::println!("    export {name}={value}");
    }
    anstream::println!();
}

/// Sends an event to the function of a running `watch` by a command, and shows its table.
async fn invoke(event: &str, command: &[String]) -> Result<(), Box<dyn Error>> {
    let event = events::files(&[event.to_owned()])?.remove(0);
    let (program, arguments) = command.split_first().ok_or("invoke by what?")?;
    let client = watched().await?;
    let status = tokio::process::Command::new(program).args(arguments).arg(event).status().await;
    let status = status.map_err(|error| format!("{program}: {error}"))?;
    let rows = testkit::rows(&client).await?;
    show_rooms(&client, &rows).await?;
    rows::rows(rows, shown());
    if status.success() {
        return Ok(());
    }
    let error = "The function failed this event: its answer is above the table, its log where \
                 `make watch` runs";
    Err(format!("\n{error}").into())
}

/// The table of the `watch` that is running. One that was killed has left its address behind.
async fn watched() -> Result<Client, Box<dyn Error>> {
    let none = "Nothing is running: start `make watch` in another terminal";
    let endpoint = std::fs::read_to_string(beside(ENDPOINT_FILE)?).map_err(|_| none)?;
    let client = testkit::client(&endpoint);
    client.describe_table().table_name(Engine::TABLE).send().await.map_err(|_| none)?;
    Ok(client)
}

/// Shows every room that rows are of.
async fn show_rooms(client: &Client, rows: &[Item]) -> Result<(), Box<dyn Error>> {
    let store = Store::new(client.clone(), Engine::TABLE, Settings::default());
    let key = |row: &Item| ["pk", "sk"].map(|name| row[name].as_s().cloned().unwrap_or_default());
    let of_rooms = rows.iter().map(key).filter(|[_, sk]| !sk.starts_with("room#"));
    let rooms: BTreeSet<String> = of_rooms.map(|[pk, _]| pk).collect();
    for name in rooms {
        chat::room(&store, RoomName(name)).await?;
    }
    Ok(())
}

/// The path of a file in this program's folder.
fn beside(name: &str) -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// `ROWS`: how many rows to show.
fn shown() -> Rows {
    #[expect(clippy::disallowed_methods, reason = "a setting of this program alone")]
    if std::env::var("ROWS").is_ok_and(|rows| rows == "all") { Rows::All } else { Rows::Few }
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
