//! Every setting of a host, in one table: flag, environment variable, default, meaning (protocol section 8.1).
//!
//! [`HostArgs`] is what an operator writes; [`HostConfig`] is what the host uses. [`HostArgs::into_config`] collects
//! every problem and reports them together: a wrong setting stops the start.

mod admin_address;
mod artifacts;
mod buckets;
mod engine;
mod issuers;
mod limits;
mod local_nats;
mod native;
mod nats;
mod policy;
mod telemetry;
mod timings;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use claims::{AccountId, ClusterId, KeyKind, KeyPair};
use clap::{Args, builder::BoolishValueParser};
use lattice::{LatticeId, bounds, client::NatsOptions};
use nats::Side;
use runtime::{GuestLimits, LimitSettings, RuntimeConfig};

use ::telemetry::TracingConfig;

pub use self::{
    admin_address::AdminAddress,
    artifacts::{ArtifactArgs, ArtifactConfig, RegistryLogin},
    buckets::{BucketArgs, BucketSettings},
    engine::EngineArgs,
    limits::LimitArgs,
    local_nats::LocalNats,
    native::{KnownIssuers, NativeIssuers},
    nats::{NatsLoginArgs, ProviderLogin},
    policy::{PolicyArgs, PolicyConfig, PolicyDefault},
    telemetry::TelemetryArgs,
    timings::Timings,
};

/// What the variables begin with that set a label, such as `WASMCLOUD_LABEL_zone`.
const LABEL_VARIABLE: &str = "WASMCLOUD_LABEL_";

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

/// Settings as the host uses them.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Lattice to join.
    pub lattice: LatticeId,
    /// Control connection; none means a single host without NATS.
    pub ctl: Option<NatsOptions>,
    /// RPC connection; the control settings when none.
    pub rpc: Option<NatsOptions>,
    /// Directory with the NATS credentials of provider processes; none means that they get those of the host.
    pub provider_creds: Option<PathBuf>,
    /// How missing buckets of the lattice are made.
    pub buckets: BucketSettings,
    /// Root of the control subjects instead of `wasmbus.ctl`.
    pub ctl_topic_prefix: Option<String>,
    /// JetStream domain.
    pub js_domain: Option<String>,
    /// Host key; none means the one kept in the state directory.
    pub host_key: Option<KeyPair>,
    /// Cluster key; none means the one kept in the state directory.
    pub cluster_key: Option<KeyPair>,
    /// Trusted cluster keys besides our own.
    pub cluster_issuers: Vec<ClusterId>,
    /// Issuers whose artifacts may run; none means any, an empty list means nobody's.
    pub allowed_issuers: Option<Vec<AccountId>>,
    /// Whose native code runs where `allowed_issuers` is none.
    pub native_issuers: NativeIssuers,
    /// Labels besides the built-in ones, which they override.
    pub labels: BTreeMap<String, String>,
    /// Whether `file://` references are served.
    pub allow_file_load: bool,
    /// Registries and their cache.
    pub artifacts: ArtifactConfig,
    /// Whether the config service is asked for registry credentials.
    pub config_service: bool,
    /// The policy service; none means that everything is permitted.
    pub policy: Option<PolicyConfig>,
    /// Whether other hosts are called, and call, in sessions.
    pub sessions: bool,
    /// How long it waits and how often it looks.
    pub timings: Timings,
    /// Where spans go; none means that nothing is traced.
    pub tracing: Option<TracingConfig>,
    /// Whether provider processes are to log as JSON, as this one does.
    pub structured_logging: bool,
    /// Where the admin pages are; none means nowhere.
    pub admin_address: Option<AdminAddress>,
    /// Directory of key, replica, lock, socket and cache.
    pub state_dir: PathBuf,
    /// The engine.
    pub runtime: RuntimeConfig,
    /// Limits of an actor unless its start says otherwise.
    pub limits: GuestLimits,
    /// The most that a start may ask for, where the operator of this host said so.
    pub most: LimitSettings,
}

impl HostConfig {
    /// Defaults for a host of `lattice` that keeps its state in `state_dir` and has no NATS.
    #[must_use]
    pub fn new(lattice: LatticeId, state_dir: PathBuf) -> Self {
        let artifacts = ArtifactConfig::new(state_dir.join("cache").join("artifacts"));
        let code_cache = engine::default_code_cache(&artifacts.cache_dir);
        Self {
            lattice,
            ctl: None,
            rpc: None,
            provider_creds: None,
            buckets: BucketSettings::default(),
            ctl_topic_prefix: None,
            js_domain: None,
            host_key: None,
            cluster_key: None,
            cluster_issuers: Vec::new(),
            allowed_issuers: None,
            native_issuers: NativeIssuers::Named,
            labels: BTreeMap::new(),
            allow_file_load: false,
            artifacts,
            config_service: false,
            policy: None,
            sessions: true,
            timings: Timings::default(),
            tracing: None,
            structured_logging: false,
            admin_address: None,
            state_dir,
            runtime: RuntimeConfig { code_cache, ..RuntimeConfig::default() },
            limits: GuestLimits::default(),
            most: LimitSettings::default(),
        }
    }
}

/// Settings that cannot be used; every one is listed.
#[derive(Debug, thiserror::Error)]
#[error("unusable settings:\n  {}", .problems.join("\n  "))]
pub struct ConfigError {
    /// One sentence per setting.
    pub problems: Vec<String>,
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

struct Problems(Vec<String>);

impl Problems {
    /// What is wrong with a setting is said once, however many use it.
    fn add(&mut self, problem: &str) {
        if !self.0.iter().any(|known| known == problem) {
            self.0.push(problem.to_owned());
        }
    }

    fn take<T, E: std::fmt::Display>(&mut self, setting: &str, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.add(&format!("{setting}: {error}"))).ok()
    }

    fn seed(&mut self, setting: &str, seed: Option<&str>, kind: KeyKind) -> Option<KeyPair> {
        let key = self.take(setting, KeyPair::from_seed(seed?))?;
        if key.kind() == kind {
            return Some(key);
        }
        self.0.push(format!("{setting}: expected the seed of a {kind:?} key, found one of a {:?} key", key.kind()));
        None
    }

    fn list<T: std::str::FromStr>(&mut self, setting: &str, texts: &[String]) -> Vec<T>
    where
        T::Err: std::fmt::Display,
    {
        texts.iter().filter_map(|text| self.take(setting, text.trim().parse())).collect()
    }

    fn labels(&mut self, given: &[String]) -> BTreeMap<String, String> {
        let mut labels = self.labels_of(std::env::vars_os());
        for text in given {
            match text.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    labels.insert(key.to_owned(), value.to_owned());
                }
                _ => self.0.push(format!("--label: `{text}` is not of the form `key=value`")),
            }
        }
        labels
    }

    /// Labels among the variables of the environment, which may hold anything: only what is ours must be text.
    fn labels_of(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (name, value) in variables {
            if !name.as_encoded_bytes().starts_with(LABEL_VARIABLE.as_bytes()) {
                continue;
            }
            match (name.to_str().and_then(|name| name.strip_prefix(LABEL_VARIABLE)), value.into_string()) {
                (Some(key), Ok(value)) if !key.is_empty() => drop(labels.insert(key.to_owned(), value)),
                (Some(""), Ok(_)) => self.0.push(format!("{LABEL_VARIABLE}: a label needs a name")),
                _ => self.0.push(format!("{}: not UTF-8 text", name.display())),
            }
        }
        labels
    }

    fn none_or(self, config: HostConfig) -> Result<HostConfig, ConfigError> {
        if self.0.is_empty() { Ok(config) } else { Err(ConfigError { problems: self.0 }) }
    }
}

#[cfg(test)]
mod tests;
