//! Settings on where artifacts come from and which may run.

use std::{path::PathBuf, time::Duration};

use artifacts::Secret;
use clap::Args;

use super::Problems;

/// Largest cache unless it is set, MiB.
const CACHE_MIB: u64 = 2048;
/// How long a fetch may take unless it is set, seconds.
const FETCH_SECONDS: u64 = 600;

/// Registries and their cache, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct ArtifactArgs {
    /// Refuse every artifact whose issuer is not named with `--allowed-issuer`, also when none is named. Not with `any`.
    #[arg(long, env = "WASH_STRICT", num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = clap::builder::BoolishValueParser::new())]
    pub strict: bool,
    /// Allow references to `latest`, which is something else every time.
    #[arg(long, env = "WASMCLOUD_OCI_ALLOW_LATEST", num_args = 0..=1, default_value = "false",
          default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub allow_latest: bool,
    /// Registries (`host` or `host:port`) spoken to in plain HTTP; repeatable.
    #[arg(long, env = "WASMCLOUD_OCI_ALLOWED_INSECURE", value_delimiter = ',', value_name = "REGISTRY")]
    pub allowed_insecure: Vec<String>,
    /// Registry that `--oci-user` and `--oci-password` are for.
    #[arg(long, env = "WASMCLOUD_OCI_REGISTRY")]
    pub oci_registry: Option<String>,
    /// User name for `--oci-registry`.
    #[arg(long, env = "WASMCLOUD_OCI_REGISTRY_USER")]
    pub oci_user: Option<String>,
    /// Password for `--oci-registry`.
    #[arg(long, env = "WASMCLOUD_OCI_REGISTRY_PASSWORD", hide_env_values = true)]
    pub oci_password: Option<String>,
    /// File with certificates (PEM) of authorities that registries are trusted by, besides the system's; repeatable.
    #[arg(long, env = "WASH_REGISTRY_CA", value_delimiter = ',', value_name = "FILE")]
    pub registry_ca: Vec<PathBuf>,
    /// Directory of fetched artifacts, shared with `wash` and other hosts. Default: `cache/artifacts` in `~/.wash`.
    #[arg(long, env = "WASH_CACHE_DIR", value_name = "DIRECTORY")]
    pub cache_dir: Option<PathBuf>,
    /// Size of that directory, MiB; what was not used for longest goes first.
    #[arg(long, env = "WASH_CACHE_SIZE_MIB", default_value_t = CACHE_MIB)]
    pub cache_size_mib: u64,
    /// How long fetching one artifact may take in all, seconds; what came is kept for the next attempt.
    #[arg(long, env = "WASH_FETCH_TIMEOUT_S", default_value_t = FETCH_SECONDS)]
    pub fetch_timeout_s: u64,
}

/// Registries and their cache, as the host uses them.
#[derive(Debug, Clone)]
pub struct ArtifactConfig {
    /// Whether `latest` may be fetched.
    pub allow_latest: bool,
    /// Registries spoken to in plain HTTP.
    pub insecure: Vec<String>,
    /// Who we are to one registry.
    pub login: Option<RegistryLogin>,
    /// Files with certificates of authorities that are trusted besides the system's.
    pub extra_ca: Vec<PathBuf>,
    /// Directory of the cache.
    pub cache_dir: PathBuf,
    /// Its bound, bytes.
    pub cache_bytes: u64,
    /// How long fetching one artifact may take.
    pub fetch_timeout: Duration,
}

/// Who we are to one registry.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    /// The registry.
    pub registry: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl ArtifactConfig {
    /// Defaults, with a cache in `cache_dir`.
    #[must_use]
    pub fn new(cache_dir: PathBuf) -> Self {
        Self {
            allow_latest: false,
            insecure: Vec::new(),
            login: None,
            extra_ca: Vec::new(),
            cache_dir,
            cache_bytes: CACHE_MIB << 20,
            fetch_timeout: Duration::from_secs(FETCH_SECONDS),
        }
    }
}

impl ArtifactArgs {
    /// The settings; `fallback` is the cache of a machine without a home directory.
    pub(super) fn into_config(self, problems: &mut Problems, fallback: PathBuf) -> ArtifactConfig {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let login = match (given(self.oci_registry), given(self.oci_user), given(self.oci_password)) {
            (Some(registry), Some(user), Some(password)) => {
                Some(RegistryLogin { registry, user, password: password.into() })
            }
            (_, None, None) => None,
            _ => {
                problems.add("--oci-user: a login needs `--oci-registry`, `--oci-user` and `--oci-password`");
                None
            }
        };
        let insecure = self.allowed_insecure.iter().map(|registry| registry.trim().to_owned());
        ArtifactConfig {
            allow_latest: self.allow_latest,
            insecure: insecure.filter(|registry| !registry.is_empty()).collect(),
            login,
            extra_ca: self.registry_ca,
            cache_dir: self.cache_dir.or_else(shared_cache).unwrap_or(fallback),
            cache_bytes: self.cache_size_mib.saturating_mul(1 << 20),
            fetch_timeout: Duration::from_secs(self.fetch_timeout_s.max(1)),
        }
    }
}

/// `cache/artifacts` in the directory that `WASH_HOME` names, else in `~/.wash`: where `wash` keeps what it fetched.
fn shared_cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("WASH_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".wash")))?;
    Some(home.join("cache").join("artifacts"))
}
