//! The server process of one port and its directory: configuration, log, pid, JetStream files.
//!
//! The process outlives the one that started it; its directory is how others find it. Invariant: at most one process
//! at a time starts or stops the server of a directory, because both hold its lock.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Command, time::Instant};

use host::LocalNats;

use super::{
    find::Program,
    login::Login,
    private::{private_dir, write_private},
    probe::{Probe, probe},
};
use crate::{
    machine::files::{self, append_private},
    terminal::failure::{Failure, OrFail, Result},
};

/// Longer than the text of any process id.
const MAX_PID_TEXT: u64 = 64;
/// As much of a command line as tells a server of ours.
const MAX_COMMAND_LINE: u64 = 1 << 20;
/// As much of the end of a log as is looked at for its last lines.
const MAX_TAIL: u64 = 64 << 10;
const START_DEADLINE: Duration = Duration::from_secs(15);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// What a server is started with besides its port.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// JetStream domain.
    pub domain: Option<String>,
    /// Another NATS server to join as a leaf node.
    pub leaf_remote: Option<String>,
    /// Credentials file for that server.
    pub leaf_credentials: Option<PathBuf>,
    /// Port for websocket clients.
    pub websocket_port: Option<u16>,
    /// Web origins whose pages may use it.
    pub websocket_origins: Vec<String>,
    /// Who may connect; none means everybody.
    pub login: Option<Login>,
}

/// An origin that no page has: the name can never be registered.
const NO_ORIGIN: &str = "https://none.invalid";

/// The directory of the server of one port.
#[derive(Debug, Clone)]
pub struct ServerDir {
    local: LocalNats,
}

/// Holds the right to start or stop a server until dropped.
#[derive(Debug)]
pub struct ServerLock {
    _file: File,
}

impl ServerDir {
    /// The directory of a server. Nothing is created yet.
    pub fn of(local: LocalNats) -> Self {
        Self { local }
    }

    /// The server as its clients see it.
    pub fn local(&self) -> &LocalNats {
        &self.local
    }

    fn path(&self) -> &Path {
        self.local.directory()
    }

    /// Where the server writes its log.
    pub fn log(&self) -> PathBuf {
        self.path().join("nats.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.path().join("nats.pid")
    }

    fn config_file(&self) -> PathBuf {
        self.path().join("nats.conf")
    }

    /// Waits for the right to start or stop this server.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub async fn lock(&self) -> Result<ServerLock> {
        private_dir(self.path())?;
        let path = self.path().join("lock");
        let file = append_private(&path).while_doing(|| format!("cannot open `{}`", path.display()))?;
        let file = tokio::task::spawn_blocking(move || file.lock().map(|()| file))
            .await?
            .while_doing(|| format!("cannot lock `{}`", path.display()))?;
        Ok(ServerLock { _file: file })
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// It cannot be started, ends at once (the end of its log is in the text), or does not answer in time.
    pub async fn start(&self, _lock: &ServerLock, program: &Program, options: &ServerOptions) -> Result<()> {
        write_private(&self.config_file(), self.config(options).as_bytes())?;
        let log = append_private(&self.log()).while_doing(|| format!("cannot write `{}`", self.log().display()))?;
        let logged_before = log.metadata()?.len();
        // A process group of its own: Ctrl-C in the terminal is for the host, which then decides about the server.
        let mut child = Command::new(&program.path)
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .while_doing(|| format!("cannot run the NATS server `{}`", program.path.display()))?;
        if let Some(pid) = child.id() {
            write_private(&self.pid_file(), pid.to_string().as_bytes())?;
        }
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Some(status) = child.try_wait()? {
                let _ = fs::remove_file(self.pid_file());
                return Err(Failure::new(format!(
                    "the NATS server ended at once ({status}); the end of `{}`:\n{}",
                    self.log().display(),
                    tail(&self.log(), logged_before, 10)
                )));
            }
            if matches!(probe("127.0.0.1", self.local.port(), Duration::from_millis(500)).await, Probe::Nats { .. }) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let _ = child.kill().await;
                let _ = fs::remove_file(self.pid_file());
                return Err(Failure::new(format!(
                    "the NATS server did not answer on port {} within {} s; the end of `{}`:\n{}",
                    self.local.port(),
                    START_DEADLINE.as_secs(),
                    self.log().display(),
                    tail(&self.log(), logged_before, 10)
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The process of this server, if it runs.
    pub fn running(&self) -> Option<Pid> {
        let pid = String::from_utf8(files::read_part(&self.pid_file(), 0, MAX_PID_TEXT).ok()?)
            .ok()?
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)?;
        self.is_ours(pid).then_some(pid)
    }

    /// Stops the server and waits until it is gone. `false` when none was running.
    ///
    /// # Errors
    /// It does not end, not even when killed.
    pub async fn stop(&self, _lock: &ServerLock) -> Result<bool> {
        let Some(pid) = self.running() else { return Ok(false) };
        for signal in [Signal::TERM, Signal::KILL] {
            let _ = kill_process(pid, signal);
            let deadline = Instant::now() + STOP_DEADLINE;
            while Instant::now() < deadline {
                if !self.is_ours(pid) {
                    let _ = fs::remove_file(self.pid_file());
                    return Ok(true);
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Err(Failure::new(format!(
            "the NATS server on port {} (process {}) does not end",
            self.local.port(),
            pid.as_raw_nonzero()
        )))
    }

    /// Whether this process was started by this user with our configuration file. An ended one which nobody has collected
    /// yet has no command line any more.
    fn is_ours(&self, pid: Pid) -> bool {
        let config = self.config_file();
        let config = config.to_string_lossy();
        if cfg!(target_os = "linux") {
            let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
            let owner = fs::metadata(&process).ok().map(|process| process.uid());
            let line = files::read_part(&process.join("cmdline"), 0, MAX_COMMAND_LINE).unwrap_or_default();
            let own = owner == Some(rustix::process::geteuid().as_raw());
            return own && line.split(|&byte| byte == 0).any(|word| word == config.as_bytes());
        }
        let listing = std::process::Command::new("ps")
            .args(["-o", "stat=,command=", "-p", &pid.as_raw_nonzero().to_string()])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        !listing.trim_start().starts_with('Z') && listing.contains(config.as_ref())
    }

    fn config(&self, options: &ServerOptions) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut config = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{\n  store_dir: {}\n",
            self.local.port(),
            quoted(&self.path().join("jetstream").to_string_lossy())
        );
        if let Some(domain) = &options.domain {
            config.push_str(&format!("  domain: {}\n", quoted(domain)));
        }
        config.push_str("}\n");
        if let Some(login) = &options.login {
            config.push_str(&login.config);
        }
        if let Some(remote) = &options.leaf_remote {
            let credentials = options.leaf_credentials.as_ref().map(|path| {
                format!(
                    ", credentials: {}",
                    quoted(&std::path::absolute(path).unwrap_or(path.clone()).to_string_lossy())
                )
            });
            // Where accounts are told apart, the one in which the other server's messages arrive must be said.
            let account = options.login.as_ref().map(|login| format!(", account: {}", login.account));
            config.push_str(&format!(
                "leafnodes {{\n  remotes: [{{ url: {}{}{} }}]\n}}\n",
                quoted(remote),
                credentials.unwrap_or_default(),
                account.unwrap_or_default()
            ));
        }
        if let Some(port) = options.websocket_port {
            // Browsers say whose page connects. The server's own origin is no exception: names can be made to lead here.
            let mut origins: Vec<String> = options.websocket_origins.iter().map(|origin| quoted(origin)).collect();
            if origins.is_empty() {
                origins.push(quoted(NO_ORIGIN));
            }
            config.push_str(&format!(
                "websocket {{\n  listen: \"127.0.0.1:{port}\"\n  no_tls: true\n  allowed_origins: [{}]\n}}\n",
                origins.join(", ")
            ));
        }
        config
    }
}

/// The last lines of a file that were written after its first `from` bytes, indented.
pub fn tail(path: &Path, from: u64, lines: usize) -> String {
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let bytes = files::read_part(path, from.max(length.saturating_sub(MAX_TAIL)), MAX_TAIL).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_configuration_names_what_was_asked_for_and_listens_on_loopback_only() {
        let dir = ServerDir::of(LocalNats::of(Path::new("/tmp/wash \"x\""), 4222));
        let plain = dir.config(&ServerOptions::default());
        assert_eq!(
            plain,
            "listen: \"127.0.0.1:4222\"\njetstream {\n  store_dir: \"/tmp/wash \\\"x\\\"/nats-4222/jetstream\"\n}\n"
        );
        let full = dir.config(&ServerOptions {
            domain: Some("core".to_owned()),
            leaf_remote: Some("tls://hub:7422".to_owned()),
            leaf_credentials: Some("/keys/hub.creds".into()),
            websocket_port: Some(4001),
            ..ServerOptions::default()
        });
        assert!(full.contains("  domain: \"core\"\n"), "{full}");
        assert!(full.contains("remotes: [{ url: \"tls://hub:7422\", credentials: \"/keys/hub.creds\" }]"), "{full}");
        assert!(full.contains("listen: \"127.0.0.1:4001\""), "{full}");
        assert!(full.contains("allowed_origins: [\"https://none.invalid\"]"), "no page may connect: {full}");
        let named = dir.config(&ServerOptions {
            websocket_port: Some(4001),
            websocket_origins: vec!["https://a.test".to_owned(), "http://localhost:3000".to_owned()],
            ..ServerOptions::default()
        });
        assert!(named.contains("allowed_origins: [\"https://a.test\", \"http://localhost:3000\"]"), "{named}");
    }

    #[tokio::test]
    async fn a_pid_that_now_belongs_to_somebody_else_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = ServerDir::of(LocalNats::of(home.path(), 4999));
        let lock = dir.lock().await.unwrap();
        fs::write(dir.pid_file(), std::process::id().to_string()).unwrap();
        assert_eq!(dir.running(), None);
        assert!(!dir.stop(&lock).await.unwrap());
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_reported_with_its_log() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("nats-server");
        fs::write(&program, "#!/bin/sh\necho 'cannot listen: port is taken' >&2\nexit 3\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let dir = ServerDir::of(LocalNats::of(home.path(), 1));
        let lock = dir.lock().await.unwrap();
        let program = Program { path: program, version: semver::Version::new(2, 10, 0) };
        let failure = dir.start(&lock, &program, &ServerOptions::default()).await.unwrap_err();
        assert!(failure.message().contains("cannot listen: port is taken"), "{failure}");
        assert_eq!(dir.running(), None);
    }
}
