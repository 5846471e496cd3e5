//! How to reach a lattice, as the user says it: flags and environment, then a saved context, then defaults.
//!
//! Settles the settings only; opening a connection is `reach`'s job. Invariant: flag or environment wins over the
//! context, and the context over the default, setting by setting.

mod tls;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use lattice::{
    LatticeId,
    client::{DEFAULT_PORT, Servers},
};
use serde::Deserialize;

pub use self::tls::TlsArgs;
use crate::{
    context::Context,
    machine::{given_file, home::Home},
    terminal::failure::{Failure, OrFail, Result},
};

/// Where a NATS server is looked for when nobody says otherwise.
pub const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_TIMEOUT_MS: u64 = 2000;

/// Options of every command that talks to a lattice.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// NATS server of the control interface: `host`, `host:port`, `tls://user:password@host` or several joined by commas
    /// [default: 127.0.0.1]
    #[arg(short = 'r', long, env = "WASMCLOUD_CTL_HOST", value_name = "HOST", hide_env_values = true)]
    pub ctl_host: Option<String>,
    /// Its port, where the address brings none [default: 4222]
    #[arg(short = 'p', long, env = "WASMCLOUD_CTL_PORT", value_name = "PORT", hide_env_values = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub ctl_port: Option<u16>,
    /// NATS user JWT; needs `--ctl-seed`
    #[arg(long, env = "WASMCLOUD_CTL_JWT", value_name = "JWT", hide_env_values = true)]
    pub ctl_jwt: Option<String>,
    /// NATS user seed, or a file that holds it
    #[arg(long, env = "WASMCLOUD_CTL_SEED", value_name = "SEED", hide_env_values = true)]
    pub ctl_seed: Option<OsString>,
    /// NATS credentials file, instead of JWT and seed
    #[arg(long, env = "WASH_CTL_CREDS", value_name = "FILE")]
    pub ctl_credsfile: Option<PathBuf>,
    /// How to speak TLS with it
    #[command(flatten)]
    pub tls: TlsArgs,
    /// JetStream domain of the lattice
    #[arg(long, env = "WASMCLOUD_JS_DOMAIN", value_name = "DOMAIN", hide_env_values = true)]
    pub js_domain: Option<String>,
    /// Root of the control subjects instead of `wasmbus.ctl`
    #[arg(long, env = "WASMCLOUD_CTL_TOPIC_PREFIX", value_name = "SUBJECT", hide = true)]
    pub ctl_topic_prefix: Option<String>,
    /// Lattice [default: default]
    #[arg(short = 'x', long, alias = "lattice-prefix", env = "WASMCLOUD_LATTICE", hide_env_values = true)]
    pub lattice: Option<String>,
    /// How long to wait for an answer, milliseconds [default: 2000]
    #[arg(short = 't', long, alias = "timeout", env = "WASMCLOUD_CTL_TIMEOUT_MS", hide_env_values = true)]
    pub timeout_ms: Option<u64>,
    /// Saved connection settings to start from
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Control socket of one host of this machine, instead of NATS
    #[arg(long, env = "WASH_SOCKET", value_name = "PATH", hide_env_values = true)]
    pub socket: Option<PathBuf>,
    /// Only hosts of this machine, over their control sockets: no NATS server is looked for
    #[arg(long, env = "WASH_NO_NATS", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue,
          hide_env_values = true)]
    pub no_nats: bool,
    /// Say which way the lattice was reached
    #[arg(short = 'v', long = "verbose", id = "connection_verbose")]
    pub verbose: bool,
}

/// Which of the two connections of a lattice is meant; they may have different servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Operator to host.
    Control,
    /// Entity to entity.
    Rpc,
}

/// Settled connection settings.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The lattice.
    pub lattice: LatticeId,
    /// NATS servers; any of them will do.
    pub servers: Servers,
    /// Whether anybody named them, or said how to speak with them. Otherwise it is just the default, and a control socket
    /// of this machine will do as well.
    pub named: bool,
    /// Whether no server is looked for.
    pub no_nats: bool,
    /// NATS user JWT.
    pub jwt: Option<String>,
    /// NATS user seed.
    pub seed: Option<String>,
    /// NATS credentials file.
    pub creds_file: Option<PathBuf>,
    /// How to speak TLS.
    pub tls: TlsArgs,
    /// JetStream domain.
    pub js_domain: Option<String>,
    /// Root of the control subjects.
    pub topic_prefix: Option<String>,
    /// How long to wait for one answer.
    pub timeout: Duration,
    /// Whether anybody named that time.
    pub timeout_named: bool,
    /// The socket to use instead of NATS.
    pub socket: Option<PathBuf>,
    /// Seed of the cluster key of the context.
    pub cluster_seed: Option<String>,
}

impl ConnectionArgs {
    /// Settles the settings of the control connection.
    ///
    /// # Errors
    /// The lattice name, a file or the context is unusable.
    pub fn resolve(&self, context: &Context) -> Result<Connection> {
        self.resolve_for(Side::Control, context)
    }

    /// Settles the settings of one side.
    ///
    /// # Errors
    /// As [`ConnectionArgs::resolve`].
    pub fn resolve_for(&self, side: Side, context: &Context) -> Result<Connection> {
        let saved = Saved::load(self.context.as_deref(), &context.home)?;
        let old_lattice = || std::env::var("WASMCLOUD_LATTICE_PREFIX").ok().filter(|name| !name.is_empty());
        let lattice = self.lattice.clone().or_else(old_lattice).or(saved.lattice);
        let lattice = lattice.as_deref().unwrap_or("default").parse::<LatticeId>().map_err(usage)?;
        let of_side = match side {
            Side::Control => saved.ctl,
            Side::Rpc => saved.rpc,
        };
        if self.socket.is_some() && (self.ctl_host.is_some() || self.ctl_port.is_some()) {
            return Err(Failure::usage("a NATS server and a control socket are named")
                .hint("leave out one of the two; each may also be set in the environment"));
        }
        if self.no_nats && (self.ctl_host.is_some() || self.ctl_port.is_some()) {
            return Err(Failure::usage("a NATS server is named, and `--no-nats` says to use none")
                .hint("leave out one of the two; each may also be set in the environment"));
        }
        let host = self.ctl_host.clone().or(of_side.host);
        let port = self.ctl_port.or(of_side.port);
        let timeout_ms = self.timeout_ms.or(of_side.timeout_ms);
        let (mut jwt, mut seed, mut creds_file) =
            (self.ctl_jwt.clone(), self.ctl_seed.clone(), self.ctl_credsfile.clone());
        // Credentials of the context only when the command line brings none of its own.
        if jwt.is_none() && seed.is_none() && creds_file.is_none() {
            (jwt, seed, creds_file) = (of_side.jwt, of_side.seed.map(OsString::from), of_side.credsfile);
        }
        let tls = self.tls.over(of_side.tls);
        let particular = jwt.is_some() || seed.is_some() || creds_file.is_some() || tls != TlsArgs::default();
        let address = host.as_deref().unwrap_or(DEFAULT_HOST);
        let servers = Servers::parse(address, port.unwrap_or(DEFAULT_PORT))
            .map_err(|error| usage(error).hint("write it as `host`, `host:port` or `tls://user:password@host:port`"))?;
        Ok(Connection {
            lattice,
            named: host.is_some() || port.is_some() || particular,
            servers,
            no_nats: self.no_nats,
            jwt,
            seed: seed.map(|seed| seed_text(&seed)).transpose()?,
            creds_file,
            tls,
            js_domain: self.js_domain.clone().or(saved.js_domain),
            topic_prefix: self.ctl_topic_prefix.clone(),
            timeout: Duration::from_millis(timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS)),
            timeout_named: timeout_ms.is_some(),
            socket: self.socket.clone(),
            cluster_seed: saved.cluster_seed,
        })
    }
}

impl Connection {
    /// How long to wait for work to be done: what the user said, else `usual`.
    pub fn patience(&self, usual: Duration) -> Duration {
        if self.timeout_named { self.timeout } else { usual.max(self.timeout) }
    }

    /// The servers, as they may be shown: without passwords.
    pub fn server(&self) -> String {
        self.servers.to_string()
    }
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::usage(error.to_string())
}

/// A seed, or the content of the file it names.
fn seed_text(given: &OsStr) -> Result<String> {
    let path = Path::new(given);
    if path.is_file() {
        return Ok(given_file::read_text(path)?.trim().to_owned());
    }
    // It may be a mistyped secret: it is not repeated.
    let text = given.to_str().ok_or_else(|| Failure::usage("the NATS user seed is neither a file nor UTF-8 text"))?;
    Ok(text.trim().to_owned())
}

#[derive(Debug, Default)]
struct Saved {
    lattice: Option<String>,
    js_domain: Option<String>,
    cluster_seed: Option<String>,
    ctl: SavedSide,
    rpc: SavedSide,
}

#[derive(Debug, Default)]
struct SavedSide {
    host: Option<String>,
    port: Option<u16>,
    jwt: Option<String>,
    seed: Option<String>,
    credsfile: Option<PathBuf>,
    tls: TlsArgs,
    timeout_ms: Option<u64>,
}

/// A context file (protocol section 9.4); absent values are null or empty.
#[derive(Deserialize)]
struct ContextFile {
    cluster_seed: Option<String>,
    #[serde(alias = "lattice_prefix")]
    lattice: Option<String>,
    js_domain: Option<String>,
    ctl_host: Option<String>,
    ctl_port: Option<u16>,
    ctl_jwt: Option<String>,
    ctl_seed: Option<String>,
    ctl_credsfile: Option<PathBuf>,
    ctl_timeout: Option<u64>,
    rpc_host: Option<String>,
    rpc_port: Option<u16>,
    rpc_jwt: Option<String>,
    rpc_seed: Option<String>,
    rpc_credsfile: Option<PathBuf>,
    rpc_timeout: Option<u64>,
    /// Ours, for both connections.
    #[serde(default)]
    nats_tls: bool,
    nats_tls_ca: Option<PathBuf>,
    nats_tls_cert: Option<PathBuf>,
    nats_tls_key: Option<PathBuf>,
}

impl Saved {
    /// The context named, else the default one if there is one, else nothing.
    fn load(name: Option<&str>, home: &Home) -> Result<Self> {
        let directory = home.contexts();
        let default = || given_file::read_text(&directory.join("default")).ok().map(|name| name.trim().to_owned());
        let Some(chosen) = name.map(str::to_owned).or_else(default).filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let path = directory.join(format!("{chosen}.json"));
        let text = match given_file::read_text(&path) {
            Ok(text) => text,
            // The name of the default context outlives its file; only a context asked for by name must exist.
            Err(_) if name.is_none() => return Ok(Self::default()),
            Err(error) => {
                return Err(error.while_doing(format!("cannot read context `{chosen}` ({})", path.display())));
            }
        };
        let file: ContextFile = serde_json::from_str(&text)
            .while_doing(|| format!("context `{chosen}` ({}) is malformed", path.display()))?;
        Ok(Self::from(file))
    }
}

impl From<ContextFile> for Saved {
    fn from(file: ContextFile) -> Self {
        let text = |value: Option<String>| value.filter(|text| !text.is_empty());
        let path = |value: Option<PathBuf>| value.filter(|path| !path.as_os_str().is_empty());
        let tls = TlsArgs {
            required: file.nats_tls,
            ca: path(file.nats_tls_ca),
            cert: path(file.nats_tls_cert),
            key: path(file.nats_tls_key),
        };
        Self {
            lattice: text(file.lattice),
            js_domain: text(file.js_domain),
            cluster_seed: text(file.cluster_seed),
            ctl: SavedSide {
                host: text(file.ctl_host),
                port: file.ctl_port,
                jwt: text(file.ctl_jwt),
                seed: text(file.ctl_seed),
                credsfile: path(file.ctl_credsfile),
                tls: tls.clone(),
                timeout_ms: file.ctl_timeout,
            },
            rpc: SavedSide {
                host: text(file.rpc_host),
                port: file.rpc_port,
                jwt: text(file.rpc_jwt),
                seed: text(file.rpc_seed),
                credsfile: path(file.rpc_credsfile),
                tls,
                timeout_ms: file.rpc_timeout,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::fs;

    use super::*;
    use crate::terminal::output::{Format, Printer};

    fn context(root: &Path) -> Context {
        Context { home: Home::at(root), printer: Printer::new(Format::Text, false) }
    }

    #[test]
    fn flags_win_over_the_context_and_the_context_over_defaults() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("contexts")).unwrap();
        let saved = r#"{"name":"lab","lattice":"lab","ctl_host":"broker","ctl_port":4333,"ctl_jwt":"","ctl_seed":"","cluster_seed":"","rpc_host":"rpc"}"#;
        fs::write(dir.path().join("contexts/lab.json"), saved).unwrap();
        let plain = ConnectionArgs::default().resolve(&context(dir.path())).unwrap();
        assert_eq!(
            (plain.server().as_str(), plain.named, plain.lattice.as_str()),
            ("nats://127.0.0.1:4222", false, "default")
        );

        fs::write(dir.path().join("contexts/default"), "lab\n").unwrap();
        let saved = ConnectionArgs::default().resolve(&context(dir.path())).unwrap();
        assert_eq!((saved.server().as_str(), saved.named, saved.lattice.as_str()), ("nats://broker:4333", true, "lab"));
        assert_eq!((saved.jwt, saved.seed), (None, None), "empty texts are absent values");

        let given = ConnectionArgs { ctl_host: Some("other".to_owned()), ..Default::default() };
        assert_eq!(given.resolve(&context(dir.path())).unwrap().server(), "nats://other:4333");
        assert_eq!(given.resolve_for(Side::Rpc, &context(dir.path())).unwrap().server(), "nats://other:4222");
    }

    #[test]
    fn whatever_names_a_server_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = |text: &str| Some(text.to_owned());
        for args in [
            ConnectionArgs { ctl_host: text("127.0.0.1"), ..Default::default() },
            ConnectionArgs { ctl_port: Some(4222), ..Default::default() },
            ConnectionArgs { ctl_seed: Some("SU".into()), ..Default::default() },
            ConnectionArgs { ctl_credsfile: Some("x.creds".into()), ..Default::default() },
            ConnectionArgs { tls: TlsArgs { required: true, ..TlsArgs::default() }, ..Default::default() },
        ] {
            assert!(args.resolve(&context(dir.path())).unwrap().named, "{args:?}");
        }
        let lattice = ConnectionArgs { lattice: text("lab"), timeout_ms: Some(1), ..Default::default() };
        assert!(!lattice.resolve(&context(dir.path())).unwrap().named);
    }

    #[test]
    fn two_ways_that_were_both_named_are_a_contradiction_and_none_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let server = ConnectionArgs { ctl_port: Some(4222), ..Default::default() };
        for args in [
            ConnectionArgs { socket: Some("host.sock".into()), ..server.clone() },
            ConnectionArgs { no_nats: true, ..server },
        ] {
            assert_eq!(args.resolve(&context(dir.path())).unwrap_err().exit_code(), 2, "{args:?}");
        }
    }

    #[test]
    fn the_port_beside_an_address_counts_and_a_password_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let args = |host: &str| ConnectionArgs {
            ctl_host: Some(host.to_owned()),
            ctl_port: Some(18230),
            ..Default::default()
        };
        let connection = args("tls://u:s3cr3t@localhost").resolve(&context(dir.path())).unwrap();
        assert_eq!(connection.server(), "tls://localhost:18230");
        assert_eq!(connection.servers.urls(), ["tls://u:s3cr3t@localhost:18230"]);
        assert!(!format!("{connection:?}").contains("s3cr3t"));
        let failure = args("http://u:s3cr3t@localhost").resolve(&context(dir.path())).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(!failure.to_string().contains("s3cr3t"), "{failure}");
    }

    #[test]
    fn a_context_asked_for_by_name_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let args = ConnectionArgs { context: Some("lab".to_owned()), ..Default::default() };
        assert!(args.resolve(&context(dir.path())).unwrap_err().message().contains("cannot read context `lab`"));
    }

    #[test]
    fn a_lattice_name_that_is_no_subject_token_is_wrong_usage() {
        let dir = tempfile::tempdir().unwrap();
        let args = ConnectionArgs { lattice: Some("a.b".to_owned()), ..Default::default() };
        assert_eq!(args.resolve(&context(dir.path())).unwrap_err().exit_code(), 2);
    }
}
