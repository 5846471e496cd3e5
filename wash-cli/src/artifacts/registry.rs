//! How a registry is spoken to, as the user says it, and the artifacts that come out of one.
//!
//! Options become the settings of crate `artifacts`, which does the speaking. Invariants: credentials given on the command
//! line go to the registry of the one reference, and what is fetched goes through the cache that hosts share.

use std::path::{Path, PathBuf};

use artifacts::{
    ArtifactStore, Cache, CredentialBook, Credentials, Digest, FetchOptions, Fetched, Origin, Reference, Registry,
    RegistryOptions,
};
use clap::Args;

use crate::{
    context::Context,
    terminal::failure::{Failure, OrFail, Result},
};

/// Options of every command that speaks to a registry.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub struct RegistryArgs {
    /// Registry of references that name none
    #[arg(short = 'r', long, env = "WASH_REG_URL", value_name = "REGISTRY", hide_env_values = true)]
    pub registry: Option<String>,
    /// User [default: what `docker login` stored]
    #[arg(short = 'u', long, env = "WASH_REG_USER", requires = "password", hide_env_values = true)]
    pub user: Option<String>,
    /// Password or token of the user
    #[arg(short = 'p', long, env = "WASH_REG_PASSWORD", requires = "user", hide_env_values = true)]
    pub password: Option<String>,
    /// Speak plain HTTP to the registry
    #[arg(long)]
    pub insecure: bool,
    /// Trust this certificate authority too: a PEM file; repeatable
    #[arg(long = "ca-file", env = "WASH_REG_CA_FILE", value_name = "FILE", hide_env_values = true)]
    pub ca_files: Vec<PathBuf>,
}

impl RegistryArgs {
    /// A reference, completed with `--registry`.
    ///
    /// # Errors
    /// It is none.
    pub fn reference(&self, given: &str) -> Result<Reference> {
        Reference::parse(given, self.registry.as_deref())
            .map_err(|error| Failure::usage(error.to_string()).hint(error.next_step()))
    }

    /// The client for one registry.
    ///
    /// # Errors
    /// A certificate file is unusable.
    pub fn client(&self, registry: &str) -> Result<Registry> {
        let mut credentials = CredentialBook::default();
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            credentials.set(registry, Credentials::basic(user.as_str(), password.as_str()));
        }
        let insecure = self.insecure.then(|| registry.to_owned()).into_iter().collect();
        let options =
            RegistryOptions { insecure, extra_ca: self.ca_files.clone(), credentials, ..RegistryOptions::default() };
        Ok(Registry::new(options)?)
    }
}

/// Options of commands that fetch.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// Fail unless this is what comes: `sha256:…`, of the artifact or of its manifest
    #[arg(short = 'd', long)]
    pub digest: Option<Digest>,
    /// Take what is tagged `latest`, or not tagged
    #[arg(long)]
    pub allow_latest: bool,
    /// Fetch also what is in the cache
    #[arg(long)]
    pub no_cache: bool,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// Where what was fetched is kept. The names are those of the host's settings: it is the same directory.
#[derive(Debug, Clone, Args)]
pub struct CacheArgs {
    /// What was fetched, shared with the hosts of this machine [default: ~/.wash/cache/artifacts]
    #[arg(long, env = "WASH_CACHE_DIR", value_name = "DIR", hide_env_values = true)]
    cache_dir: Option<PathBuf>,
    /// How large it may become, MiB
    #[arg(long, env = "WASH_CACHE_SIZE_MIB", value_name = "MIB", default_value_t = 2048, hide = true)]
    cache_size_mib: u64,
}

impl CacheArgs {
    /// The directory.
    pub fn directory(&self, context: &Context) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| context.home.artifacts())
    }

    /// Opens it; it is made on first use.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(&self, context: &Context) -> Result<Cache> {
        Ok(Cache::open(self.directory(context), self.cache_size_mib.saturating_mul(1 << 20))?)
    }
}

impl FetchArgs {
    /// Fetches what a reference means.
    ///
    /// # Errors
    /// The registry does not give it, or gives something else.
    pub async fn fetch(&self, given: &str, registry: &RegistryArgs, context: &Context) -> Result<Fetched> {
        let reference = registry.reference(given)?;
        let cache = self.cache.open(context)?;
        let store = ArtifactStore::new(registry.client(reference.registry())?, cache);
        let options =
            FetchOptions { allow_latest: self.allow_latest, no_cache: self.no_cache, ..FetchOptions::default() };
        let progress = context.printer.progress();
        let fetched = store.fetch(&reference, &options, &*progress).await;
        drop(progress);
        let fetched = fetched.while_doing(|| format!("cannot pull `{given}`"))?;
        if let Origin::CacheWhileAway { reason } = &fetched.origin {
            context.printer.note(format!("warning: the registry is away, so this is what it had before: {reason}"));
        }
        self.check(given, &fetched.digests())?;
        Ok(fetched)
    }

    /// Compares a file with the digest that was asked for.
    ///
    /// # Errors
    /// It is another.
    pub fn check_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if self.digest.is_none() {
            return Ok(());
        }
        self.check(&path.display().to_string(), &[Digest::of(bytes)])
    }

    fn check(&self, what: &str, digests: &[Digest]) -> Result<()> {
        let Some(wanted) = self.digest.filter(|wanted| !digests.contains(wanted)) else { return Ok(()) };
        let list: Vec<String> = digests.iter().map(|digest| format!("`{digest}`")).collect();
        Err(Failure::new(format!("`{what}` is not `{wanted}`"))
            .cause(format!("it is {}", list.join(", by its manifest ")))
            .hint("do not use it, unless you know why it changed"))
    }
}
