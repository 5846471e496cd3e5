//! Settings as an operator writes them: flags and environment variables.

use std::{path::PathBuf, time::Duration};

use claims::KeyKind;
use clap::{Args, builder::BoolishValueParser};
use lattice::{LatticeId, bounds};

use super::{
    artifacts::ArtifactArgs,
    buckets::BucketArgs,
    config::HostConfig,
    engine::EngineArgs,
    issuers,
    limits::LimitArgs,
    nats::{NatsLoginArgs, Side},
    policy::PolicyArgs,
    problems::{ConfigError, Problems},
    telemetry::TelemetryArgs,
};

/// Settings as flags and environment variables. `wash up` and `wash-host` share them.
#[derive(Debug, Clone, Args)]
pub struct HostArgs {
    /// Lattice to join.
    #[arg(short = 'x', long, alias = "lattice-prefix", env = "WASMCLOUD_LATTICE", default_value = "default")]
    pub lattice: String,
    /// The same under its older name, where the other says nothing.
    #[arg(long, env = "WASMCLOUD_LATTICE_PREFIX", hide = true)]
    pub lattice_of_before: Option<String>,
    /// NATS server, or several joined by commas, for both connections unless they have their own.
    #[arg(long, env = "NATS_HOST", default_value = "127.0.0.1")]
    pub nats_host: String,
    /// Port of the NATS server.
    #[arg(long, env = "NATS_PORT", default_value_t = 4222, value_parser = clap::value_parser!(u16).range(1..))]
    pub nats_port: u16,
    /// Who the host is there.
    #[command(flatten)]
    pub nats: NatsLoginArgs,
    /// How missing JetStream buckets are made.
    #[command(flatten)]
    pub buckets: BucketArgs,
    /// Control connection: server, if another.
    #[arg(long, env = "WASMCLOUD_CTL_HOST", hide = true)]
    pub ctl_host: Option<String>,
    /// Control connection: port, if another.
    #[arg(long, env = "WASMCLOUD_CTL_PORT", hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub ctl_port: Option<u16>,
    /// RPC connection: server, if another.
    #[arg(long, env = "WASMCLOUD_RPC_HOST", hide = true)]
    pub rpc_host: Option<String>,
    /// RPC connection: port, if another.
    #[arg(long, env = "WASMCLOUD_RPC_PORT", hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub rpc_port: Option<u16>,
    /// Root of the control subjects instead of `wasmbus.ctl`.
    #[arg(long, env = "WASMCLOUD_CTL_TOPIC_PREFIX", hide = true)]
    pub ctl_topic_prefix: Option<String>,
    /// JetStream domain of the lattice state.
    #[arg(long, env = "WASMCLOUD_JS_DOMAIN")]
    pub js_domain: Option<String>,
    /// Host identity (`SN…`) instead of the one kept in the state directory.
    #[arg(long, env = "WASMCLOUD_HOST_SEED", hide_env_values = true)]
    pub host_seed: Option<String>,
    /// Key that signs invocations (`SC…`); hosts that share it trust each other.
    #[arg(long, env = "WASMCLOUD_CLUSTER_SEED", hide_env_values = true)]
    pub cluster_seed: Option<String>,
    /// Cluster keys (`C…`) whose invocations are accepted besides our own.
    #[arg(long, env = "WASMCLOUD_CLUSTER_ISSUERS", value_delimiter = ',')]
    pub cluster_issuers: Vec<String>,
    /// Accounts (`A…`) whose actors and providers may run, no others; repeatable. Default: actors of any, providers that
    /// are native code of your own accounts and of those that `wash keys trust` names. `any`: everything of everybody.
    #[arg(long = "allowed-issuer", env = "WASMCLOUD_ALLOWED_ISSUERS", value_delimiter = ',')]
    pub allowed_issuers: Vec<String>,
    /// Label of this host, `key=value`; repeatable (also `WASMCLOUD_LABEL_{key}={value}`).
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Let artifacts be loaded from files of this machine.
    #[arg(
        long,
        env = "WASMCLOUD_ALLOW_FILE_LOAD",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub allow_file_load: Option<bool>,
    /// Registries and their cache.
    #[command(flatten)]
    pub artifacts: ArtifactArgs,
    /// Compiled code.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Ask the config service of the lattice for registry credentials.
    #[arg(
        long,
        env = "WASMCLOUD_CONFIG_SERVICE",
        num_args = 0..=1,
        default_value = "false",
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub config_service_enabled: bool,
    /// The policy service.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Deadline of a call that brings none, milliseconds.
    #[arg(long, env = "WASMCLOUD_RPC_TIMEOUT_MS", default_value_t = 2000)]
    pub rpc_timeout_ms: u64,
    /// Call actors on other hosts in sessions; off: every call is signed by itself, as hosts of others do it.
    #[arg(
        long,
        env = "WASMCLOUD_SESSIONS",
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub sessions: bool,
    /// How long a provider process may take to shut down before it is killed, milliseconds.
    #[arg(long, env = "WASMCLOUD_PROV_SHUTDOWN_DELAY_MS", default_value_t = 300)]
    pub provider_shutdown_delay: u64,
    /// Serve `/livez`, `/readyz`, `/metrics` and `/inventory` here: a port of this machine, or an address with a port.
    #[arg(long, env = "WASMCLOUD_ADMIN_ADDRESS", value_name = "[IP:]PORT")]
    pub admin_address: Option<String>,
    /// Log level: error, warn, info, debug or trace, or a filter such as `host=debug,info`.
    #[arg(long, env = "WASMCLOUD_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Logs as JSON, one object a line.
    #[arg(
        long,
        env = "WASMCLOUD_STRUCTURED_LOGGING_ENABLED",
        num_args = 0..=1,
        default_value = "false",
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub enable_structured_logging: bool,
    /// Traces.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// Directory for this host's key, state and control socket.
    #[arg(long, env = "WASH_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// What an actor may use.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl HostArgs {
    /// Checks every setting. `state_dir` is used when none was given.
    ///
    /// # Errors
    /// [`ConfigError`] with all problems at once.
    pub fn into_config(self, state_dir: PathBuf) -> Result<HostConfig, ConfigError> {
        let mut problems = Problems(Vec::new());
        let default = LatticeId::default();
        let older = self.lattice_of_before.as_deref().filter(|_| self.lattice == default.as_str());
        let lattice = problems.take("--lattice", older.unwrap_or(&self.lattice).parse()).unwrap_or(default);
        let mut config = HostConfig::new(lattice, self.state_dir.clone().unwrap_or(state_dir));
        config.host_key = problems.seed("--host-seed", self.host_seed.as_deref(), KeyKind::Server);
        config.cluster_key = problems.seed("--cluster-seed", self.cluster_seed.as_deref(), KeyKind::Cluster);
        config.cluster_issuers = problems.list("--cluster-issuers", &self.cluster_issuers);
        (config.allowed_issuers, config.native_issuers) =
            issuers::of(&self.allowed_issuers, self.artifacts.strict, &mut problems);
        config.artifacts = self.artifacts.clone().into_config(&mut problems, config.artifacts.cache_dir.clone());
        self.engine.clone().apply(&mut config.runtime, &config.artifacts.cache_dir);
        config.config_service = self.config_service_enabled;
        config.policy = self.policy.clone().into_config(&mut problems);
        config.labels = problems.labels(&self.labels);
        problems.take("--label", bounds::labels(&config.labels));
        let control = Side {
            host: self.ctl_host.as_deref().unwrap_or(&self.nats_host),
            port: self.ctl_port.unwrap_or(self.nats_port),
            place: if self.ctl_host.is_some() || self.ctl_port.is_some() { "--ctl-host" } else { "--nats-host" },
            jwt: &self.nats.ctl_jwt,
            seed: &self.nats.ctl_seed,
            creds: &self.nats.ctl_creds,
            tls: self.nats.ctl_tls,
            flag: "--ctl-creds",
        };
        config.ctl = Some(self.nats.options(&control, &mut problems));
        let rpc = Side {
            host: self.rpc_host.as_deref().unwrap_or(&self.nats_host),
            port: self.rpc_port.unwrap_or(self.nats_port),
            place: if self.rpc_host.is_some() || self.rpc_port.is_some() { "--rpc-host" } else { "--nats-host" },
            jwt: &self.nats.rpc_jwt,
            seed: &self.nats.rpc_seed,
            creds: &self.nats.rpc_creds,
            tls: self.nats.rpc_tls,
            flag: "--rpc-creds",
        };
        config.rpc = Some(self.nats.options(&rpc, &mut problems));
        config.provider_creds = self.nats.provider_creds.clone();
        config.buckets = self.buckets.settings();
        config.ctl_topic_prefix = self.ctl_topic_prefix;
        config.js_domain = self.js_domain;
        config.tracing = self.telemetry.clone().into_config(&mut problems);
        config.structured_logging = self.enable_structured_logging;
        config.admin_address =
            self.admin_address.as_deref().and_then(|text| problems.take("--admin-address", text.parse()));
        config.allow_file_load = self.allow_file_load.unwrap_or(false);
        config.timings.call = Duration::from_millis(self.rpc_timeout_ms);
        config.sessions = self.sessions;
        config.timings.provider_shutdown = Duration::from_millis(self.provider_shutdown_delay);
        self.limits.apply(&mut problems, &mut config);
        problems.none_or(config)
    }
}
