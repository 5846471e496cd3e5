//! A nats-server process on a free port, in a directory of its own, gone when dropped.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lattice::client::{NatsOptions, connect};
use tempfile::TempDir;

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct NatsServer {
    process: Child,
    port: u16,
    arguments: Vec<String>,
    directory: TempDir,
}

impl NatsServer {
    /// A server with JetStream; `None`, with a visible remark, where there is no nats-server.
    pub async fn start() -> Option<Self> {
        Self::start_with(0, &["-js"]).await
    }

    /// A server on this port (0: a free one) with these arguments beside port and directories.
    pub async fn start_with(port: u16, arguments: &[&str]) -> Option<Self> {
        let binary = binary()?;
        let directory = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let process = spawn(&binary, port, &arguments, directory.path());
        let port = listening(directory.path(), process.id()).await;
        Some(Self { process, port, arguments, directory })
    }

    /// A server with a configuration file.
    pub async fn start_configured(config: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nats.conf");
        fs::write(&file, config).unwrap();
        Self::start_with(0, &["-c", file.to_str().unwrap()]).await
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn options(&self) -> NatsOptions {
        NatsOptions { urls: vec![self.url()], ..NatsOptions::default() }
    }

    pub async fn client(&self) -> async_nats::Client {
        connect(&self.options()).await.unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after [`NatsServer::kill`], on the same port and with what it had stored.
    pub async fn restart(&mut self) {
        self.process = spawn(&binary().unwrap(), self.port, &self.arguments, self.directory.path());
        listening(self.directory.path(), self.process.id()).await;
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn spawn(binary: &Path, port: u16, arguments: &[String], directory: &Path) -> Child {
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    Command::new(binary)
        .args(["-a", "127.0.0.1", "-p", &port])
        .arg("-sd")
        .arg(directory)
        .arg("--ports_file_dir")
        .arg(directory)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the server says where it listens.
async fn listening(directory: &Path, process: u32) -> u16 {
    let file = directory.join(format!("nats-server_{process}.ports"));
    eventually("nats-server to listen", async || {
        let ports: serde_json::Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
    })
    .await
}

fn binary() -> Option<PathBuf> {
    let named = env::var_os("NATS_SERVER_BIN").map(PathBuf::from);
    let on_path = || {
        env::split_paths(&env::var_os("PATH")?)
            .map(|directory| directory.join("nats-server"))
            .find(|file| file.is_file())
    };
    let found = named.or_else(on_path);
    if found.is_none() {
        test_needs::skip("a nats-server");
    }
    found
}

/// Asks until there is an answer, or panics with what was waited for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let mut rounds = tokio::time::interval(Duration::from_millis(10));
    loop {
        rounds.tick().await;
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
    }
}

/// A port that nobody listens on right now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
