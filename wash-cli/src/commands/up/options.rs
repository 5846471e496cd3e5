//! Options of `wash up`.

use std::path::PathBuf;

use clap::Args;
use host::HostArgs;

use super::plan::Plan;

/// Options of `wash up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Run in the background; logs go to a file
    #[arg(short = 'd', long)]
    pub detached: bool,
    /// Which NATS server
    #[command(flatten)]
    pub nats: NatsArgs,
    /// The host
    #[command(flatten)]
    pub host: HostArgs,
    /// Key directory: providers of the accounts in it run here [default: ~/.wash/keys]
    #[arg(long, env = "WASH_KEYS", value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// What older versions had
    #[command(flatten)]
    pub old: OldArgs,
    /// Say more
    #[arg(short = 'v', long = "verbose", id = "connection_verbose")]
    pub verbose: bool,
    /// What the process in front has settled for the one in the background
    #[arg(long, hide = true, value_parser = Plan::parse)]
    pub plan: Option<Plan>,
}

/// Options about the NATS server.
#[derive(Debug, Clone, Args)]
pub struct NatsArgs {
    /// NATS server program [default: `nats-server` on PATH, then in ~/.wash/bin]
    #[arg(long, env = "NATS_SERVER_BIN", value_name = "FILE", help_heading = "NATS server")]
    pub nats_server: Option<PathBuf>,
    /// Never start a NATS server: use the one at `--nats-host`, and wait for it if it is away
    #[arg(long, help_heading = "NATS server")]
    pub nats_connect_only: bool,
    /// Do not start a NATS server when none answers, but start the host and wait for one
    #[arg(long, help_heading = "NATS server")]
    pub nats_wait: bool,
    /// No NATS at all: a single host, which is a small lattice by itself
    #[arg(long, conflicts_with_all = ["nats_connect_only", "nats_wait"], help_heading = "NATS server")]
    pub no_nats: bool,
    /// Let a NATS server that is started take everybody: any user and program of this machine then commands the lattice
    #[arg(long, help_heading = "NATS server")]
    pub nats_open: bool,
    /// JetStream domain of a NATS server that is started
    #[arg(long, value_name = "DOMAIN", help_heading = "NATS server")]
    pub nats_js_domain: Option<String>,
    /// Let a NATS server that is started join this one as a leaf node
    #[arg(long, value_name = "URL", help_heading = "NATS server")]
    pub nats_remote_url: Option<String>,
    /// Credentials file for `--nats-remote-url`
    #[arg(long, value_name = "FILE", requires = "nats_remote_url", help_heading = "NATS server")]
    pub nats_credsfile: Option<PathBuf>,
    /// Let a NATS server that is started also serve websockets
    #[arg(long, value_name = "PORT", help_heading = "NATS server", value_parser = clap::value_parser!(u16).range(1..))]
    pub nats_websocket_port: Option<u16>,
    /// Web origin, such as `http://localhost:3000`, whose pages may use the websocket port; repeatable. Default: none
    #[arg(long, value_name = "ORIGIN", requires = "nats_websocket_port", help_heading = "NATS server")]
    pub nats_websocket_origin: Vec<String>,
}

/// Options of older versions which choose what is now compiled in; accepted and without effect.
#[derive(Debug, Args)]
pub struct OldArgs {
    #[arg(long, hide = true)]
    nats_version: Option<String>,
    #[arg(long, hide = true)]
    wasmcloud_version: Option<String>,
    #[arg(long, hide = true)]
    wadm_version: Option<String>,
    #[arg(long, hide = true)]
    disable_wadm: bool,
}

impl OldArgs {
    /// The first of them that is given.
    pub fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.nats_version.is_some(), "--nats-version"),
            (self.wasmcloud_version.is_some(), "--wasmcloud-version"),
            (self.wadm_version.is_some(), "--wadm-version"),
        ];
        flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}
