//! Settings as the host uses them.

use std::{collections::BTreeMap, path::PathBuf};

use ::telemetry::TracingConfig;
use claims::{AccountId, ClusterId, KeyPair};
use lattice::{LatticeId, client::NatsOptions};
use runtime::{GuestLimits, LimitSettings, RuntimeConfig};

use super::{
    admin_address::AdminAddress, artifacts::ArtifactConfig, buckets::BucketSettings, engine, native::NativeIssuers,
    policy::PolicyConfig, timings::Timings,
};

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
