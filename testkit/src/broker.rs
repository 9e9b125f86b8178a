//! A real RabbitMQ, for what an Ably Queue is: a node of its own on free ports of this machine,
//! which ends when it is dropped; or the broker that `AMQP_URL` names.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where packages put RabbitMQ's own scripts, which run it as whoever asks.
const LIBRARY: &str = "/usr/lib/rabbitmq/lib";
/// How long a node may take to start, on a machine with other things to do.
const TIME_TO_START: Duration = Duration::from_secs(60);

/// Brokers started by this process.
static BROKERS: AtomicU64 = AtomicU64::new(0);

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    /// Where it listens, with credentials and virtual host.
    pub url: String,
    /// The name of an app whose queues nobody else uses.
    app: String,
    node: Option<Node>,
}

#[derive(Debug)]
struct Node {
    scripts: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    port: u16,
    process: Option<Child>,
}

/// How many messages of a queue wait, and how many are handed out and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Waiting.
    pub ready: u64,
    /// Handed out.
    pub unacknowledged: u64,
}

impl Broker {
    /// Starts a node.
    ///
    /// # Panics
    /// When RabbitMQ is not installed and `AMQP_URL` names no broker, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a setting of the tests")]
        let external = std::env::var("AMQP_URL");
        let number = BROKERS.fetch_add(1, Ordering::Relaxed);
        let app = format!("app{}x{number}", std::process::id());
        if let Ok(url) = external {
            return Self { url, app, node: None };
        }
        let scripts = scripts().expect(
            "RabbitMQ is not installed: `make test` installs Debian's package when it runs as \
             root; else install rabbitmq-server, or set AMQP_URL to a broker of your own",
        );
        let node = Node::new(scripts);
        let url = format!("amqp://guest:guest@127.0.0.1:{}/%2f", node.port);
        let mut broker = Self { url, app, node: Some(node) };
        broker.restart();
        broker
    }

    /// A queue of the app's.
    #[must_use]
    pub fn queue(&self) -> String {
        format!("{}:chat", self.app)
    }

    /// The queue of the app's dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}:deadletter", self.app)
    }

    /// Whether this is a node that can be stopped, and not somebody's broker.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.node.is_some()
    }

    /// Stops the node if it runs, and starts it again with what it had stored.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        let node = self.node.as_mut().expect("a node of our own");
        node.stop();
        node.start();
    }

    /// How deep a queue is, by the broker itself; `None` if it is not a node of our own.
    ///
    /// # Panics
    /// When there is no such queue.
    #[must_use]
    pub fn depth(&self, queue: &str) -> Option<Depth> {
        let node = self.node.as_ref()?;
        let columns = ["list_queues", "name", "messages_ready", "messages_unacknowledged"];
        let output = node.control(&columns);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = text.lines().find(|line| line.starts_with(&format!("{queue}\t")));
        let row = row.unwrap_or_else(|| panic!("no queue {queue:?} in {text:?}"));
        let mut counts = row.split('\t').skip(1).map(|count| count.parse().expect("a count"));
        let mut next = || counts.next().expect("two counts");
        Some(Depth { ready: next(), unacknowledged: next() })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(node) = &mut self.node {
            node.stop();
            node.end();
        }
    }
}

/// The folder of the newest version's scripts.
fn scripts() -> Option<PathBuf> {
    let mut versions: Vec<_> =
        std::fs::read_dir(LIBRARY).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    versions.sort();
    versions.pop().map(|version| version.join("sbin")).filter(|scripts| scripts.exists())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

impl Node {
    fn new(scripts: PathBuf) -> Self {
        let [port, distribution, mapper] = [free_port(), free_port(), free_port()];
        let folder = std::env::temp_dir().join(format!("rabbitmq-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let file = |name: &str, content: &str| {
            let path = folder.join(name);
            std::fs::write(&path, content).expect("a file in a temporary folder");
            path.display().to_string()
        };
        let path = |name: &str| folder.join(name).display().to_string();
        let environment = [
            ("HOME", folder.display().to_string()),
            ("ERL_EPMD_PORT", mapper.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODENAME", format!("test{port}@localhost")),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", port.to_string()),
            ("RABBITMQ_DIST_PORT", distribution.to_string()),
            ("RABBITMQ_MNESIA_BASE", path("mnesia")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_PID_FILE", path("pid")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins", "[].")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf", "disk_free_limit.absolute = 1MB\n")),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".into(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        Self { scripts, folder, environment, port, process: None }
    }

    fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(script);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    fn control(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&self.scripts.join("rabbitmqctl"));
        command.arg("--quiet").args(arguments).output().expect("rabbitmqctl runs")
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.folder.join("out")).expect("a file");
        let process = self
            .command(&self.scripts.join("rabbitmq-server"))
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("RabbitMQ starts");
        self.process = Some(process);
        let started = Instant::now();
        // It says so itself; there is nothing else to wait for.
        while !std::fs::read_to_string(self.folder.join("out"))
            .is_ok_and(|text| text.contains("completed with"))
        {
            assert!(started.elapsed() < TIME_TO_START, "RabbitMQ does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
            // SIGTERM: the node stores what it has and stops.
            let asked = Command::new("kill").arg(pid.trim()).stderr(Stdio::null()).status();
            if !asked.is_ok_and(|status| status.success()) {
                process.kill().ok();
            }
            process.wait().ok();
        }
    }

    /// Ends the port mapper that came with the node, and clears away what it left.
    fn end(&self) {
        let mut mapper = self.command(Path::new("epmd"));
        mapper.arg("-kill").stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
