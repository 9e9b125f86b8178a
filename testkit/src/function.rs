//! The built function as a child process under a [`RuntimeApi`].

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::RuntimeApi;

/// A running function. Dropping it kills it.
#[derive(Debug)]
pub struct FunctionProcess {
    child: Child,
    output: JoinHandle<String>,
}

impl FunctionProcess {
    /// Starts `binary` with nothing in its environment but `env` and what Lambda sets.
    ///
    /// # Panics
    /// When the binary cannot be started.
    #[must_use]
    pub fn spawn(binary: &Path, api: &RuntimeApi, env: &[(String, String)]) -> Self {
        let mut child = Command::new(binary)
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
        let output = tokio::spawn(async move {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).await.expect("a pipe can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, output }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
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
