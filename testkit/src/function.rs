//! The built function as a child process under a [`RuntimeApi`].

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::RuntimeApi;

/// A running function. Dropping it kills it.
#[derive(Debug)]
pub struct FunctionProcess {
    child: Child,
    ended: watch::Receiver<bool>,
    output: JoinHandle<String>,
}

impl FunctionProcess {
    /// Starts `binary` with nothing in its environment but `env` and what Lambda sets.
    ///
    /// # Panics
    /// When the binary cannot be started.
    #[must_use]
    pub fn spawn(binary: &Path, api: &RuntimeApi, env: &[(String, String)]) -> Self {
        Self::start(Command::new(binary), api, env)
    }

    /// As [`FunctionProcess::spawn`], alone on the first processor.
    ///
    /// # Panics
    /// When `taskset` is missing.
    #[must_use]
    pub fn spawn_pinned(binary: &Path, api: &RuntimeApi, env: &[(String, String)]) -> Self {
        let mut command = Command::new("/usr/bin/taskset");
        command.args(["--cpu-list", "0"]).arg(binary);
        Self::start(command, api, env)
    }

    fn start(mut command: Command, api: &RuntimeApi, env: &[(String, String)]) -> Self {
        let mut child = command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", &api.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "exporter")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the function's binary is built");
        let mut stdout = child.stdout.take().expect("standard output is piped");
        let (has_ended, ended) = watch::channel(false);
        let output = tokio::spawn(async move {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).await.expect("a pipe can be read");
            has_ended.send_replace(true);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, ended, output }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the function has ended by itself.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // If the sender is gone, so is the reader of the output: that is an end too.
        ended.wait_for(|ended| *ended).await.ok();
    }

    /// Ends the function as a crash would (SIGKILL), and returns what it had logged.
    ///
    /// # Panics
    /// When the process cannot be ended.
    pub async fn kill(mut self) -> String {
        self.child.kill().await.expect("a child process can be killed");
        self.output.await.expect("reading output does not panic")
    }

    /// Waits for the function to end by itself; its exit status and what it logged.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub async fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().await.expect("a child process can be waited for");
        (status, self.output.await.expect("reading output does not panic"))
    }
}
