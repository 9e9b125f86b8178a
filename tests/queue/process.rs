//! The built consumer, as a process: its log, its end, its figures.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Broker, Services};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ably-chat-queue");

/// How long anything here may take, on a machine with other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// A running consumer. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
    /// Where `/healthz` and `/metrics` are.
    pub(crate) address: String,
}

impl Process {
    pub(crate) async fn spawn(
        broker: &Broker,
        endpoint: &str,
        services: &Services,
        settings: &[(&str, &str)],
        flags: &[&str],
    ) -> Self {
        Self::spawn_at([&broker.url, &broker.queue()], endpoint, services, settings, flags).await
    }

    /// A consumer of a broker's queue, by its URL and its name.
    pub(crate) async fn spawn_at(
        [url, queue]: [&str; 2],
        endpoint: &str,
        services: &Services,
        settings: &[(&str, &str)],
        flags: &[&str],
    ) -> Self {
        let mut child = Command::new(BINARY)
            .args(flags)
            .env_clear()
            .envs(testkit::env(endpoint))
            .envs(services.env())
            // Notes of rooms have tests of their own.
            .env("ROOM_INDEX", "off")
            .envs([
                ("ABLY_QUEUE_URL", url),
                ("ABLY_QUEUE", queue),
                ("HTTP_ADDRESS", "127.0.0.1:0"),
                ("AWS_MAX_ATTEMPTS", "1"),
            ])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the consumer's binary is built");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut first = String::new();
        lines.read_line(&mut first).await.expect("a pipe can be read");
        let address = serde_json::from_str::<Value>(&first).expect("a log line is JSON")["address"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let output = Arc::new(Mutex::new(first));
        let log = Arc::clone(&output);
        let reading = tokio::spawn(async move {
            let mut line = String::new();
            while lines.read_line(&mut line).await.expect("a pipe can be read") > 0 {
                log.lock().expect("nobody panics").push_str(&line);
                line.clear();
            }
        });
        Self { child, output, reading, address }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.output.lock().expect("nobody panics").clone()
    }

    /// Sends a signal, `-TERM` for example.
    fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn stop(self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.wait().await
    }

    pub(crate) async fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().await.expect("a child process can be waited for");
        (&mut self.reading).await.expect("reading does not panic");
        (status, self.log())
    }

    pub(crate) async fn crash(mut self) {
        self.child.kill().await.expect("a child process can be killed");
    }

    pub(crate) fn memory_mb(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        testkit::peak_memory_kb(pid).expect("it runs, on Linux") / 1_024
    }

    /// One figure of `/metrics`; and whether `/healthz` says that all is well.
    pub(crate) async fn figures(&self, name: &str) -> (f64, bool) {
        let health = get(&self.address, "/healthz").await;
        (figure(&self.address, name).await, health.starts_with("HTTP/1.0 200"))
    }

    /// What `/healthz` says.
    pub(crate) async fn health(&self) -> Value {
        let answer = get(&self.address, "/healthz").await;
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

/// What a consumer answers to a GET.
async fn get(address: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it serves");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

pub(crate) async fn figure(address: &str, name: &str) -> f64 {
    let metrics = get(address, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    line.rsplit(' ').next().expect("a value").parse().expect("a number")
}

/// Waits until `is_so`, asking now and then.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
