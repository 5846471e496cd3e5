//! Settings on who the host is on its NATS servers, and who its providers are (`docs/nats.md`).
//!
//! Credentials of one connection replace those of both as a whole; they are never mixed. Files are read when the host
//! starts, those of providers whenever one starts, so that they can be changed without a restart of the host.

use std::{fs, io, path::PathBuf};

use claims::ProviderId;
use clap::{Args, builder::BoolishValueParser};
use lattice::{
    RpcTls, Secret,
    client::{Creds, CredsError, DEFAULT_PORT, NatsOptions, Server, Servers},
};

use super::{HostConfig, Problems};

/// Name of the file with the credentials of providers that have none of their own.
const DEFAULT_CREDS: &str = "default.creds";

/// Credentials and TLS, as flags and environment variables.
#[derive(Debug, Clone, Default, Args)]
pub struct NatsLoginArgs {
    /// NATS user JWT; needs the seed as well.
    #[arg(long, env = "WASMCLOUD_NATS_JWT", hide_env_values = true)]
    pub nats_jwt: Option<String>,
    /// NATS user seed (`SU…`), with the JWT or as a bare nkey.
    #[arg(long, env = "WASMCLOUD_NATS_SEED", hide_env_values = true)]
    pub nats_seed: Option<String>,
    /// File with NATS credentials: a user JWT and its seed, or a seed alone.
    #[arg(long, env = "WASH_NATS_CREDS", value_name = "FILE", conflicts_with_all = ["nats_jwt", "nats_seed"])]
    pub nats_creds: Option<PathBuf>,
    /// NATS user name.
    #[arg(long, env = "WASH_NATS_USER", requires = "nats_password")]
    pub nats_user: Option<String>,
    /// Password of the NATS user.
    #[arg(long, env = "WASH_NATS_PASSWORD", hide_env_values = true)]
    pub nats_password: Option<String>,
    /// NATS token.
    #[arg(long, env = "WASH_NATS_TOKEN", hide_env_values = true)]
    pub nats_token: Option<String>,
    /// Refuse a connection to NATS without TLS.
    #[arg(long, env = "WASH_NATS_TLS", num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub nats_tls: bool,
    /// File with certificates (PEM) of the authorities that NATS is trusted by, instead of the system's.
    #[arg(long, env = "WASH_NATS_TLS_CA", value_name = "FILE")]
    pub nats_tls_ca: Option<PathBuf>,
    /// File with the host's own certificate (PEM) for NATS.
    #[arg(long, env = "WASH_NATS_TLS_CERT", value_name = "FILE", requires = "nats_tls_key")]
    pub nats_tls_cert: Option<PathBuf>,
    /// File with the key (PEM) of that certificate.
    #[arg(long, env = "WASH_NATS_TLS_KEY", value_name = "FILE", requires = "nats_tls_cert")]
    pub nats_tls_key: Option<PathBuf>,
    /// Directory with the NATS credentials of provider processes: `{provider id}.creds`, else `default.creds`. Without it
    /// they get those of the host.
    #[arg(long, env = "WASH_PROVIDER_CREDS", value_name = "DIRECTORY")]
    pub provider_creds: Option<PathBuf>,
    /// Control connection: user JWT.
    #[arg(long, env = "WASMCLOUD_CTL_JWT", hide = true, hide_env_values = true)]
    pub ctl_jwt: Option<String>,
    /// Control connection: user seed.
    #[arg(long, env = "WASMCLOUD_CTL_SEED", hide = true, hide_env_values = true)]
    pub ctl_seed: Option<String>,
    /// Control connection: credentials file.
    #[arg(long, env = "WASH_CTL_CREDS", hide = true, value_name = "FILE")]
    pub ctl_creds: Option<PathBuf>,
    /// Control connection: refuse it without TLS.
    #[arg(long, env = "WASMCLOUD_CTL_TLS", num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = BoolishValueParser::new(), hide = true)]
    pub ctl_tls: bool,
    /// RPC connection: user JWT.
    #[arg(long, env = "WASMCLOUD_RPC_JWT", hide = true, hide_env_values = true)]
    pub rpc_jwt: Option<String>,
    /// RPC connection: user seed.
    #[arg(long, env = "WASMCLOUD_RPC_SEED", hide = true, hide_env_values = true)]
    pub rpc_seed: Option<String>,
    /// RPC connection: credentials file.
    #[arg(long, env = "WASH_RPC_CREDS", hide = true, value_name = "FILE")]
    pub rpc_creds: Option<PathBuf>,
    /// RPC connection: refuse it without TLS.
    #[arg(long, env = "WASMCLOUD_RPC_TLS", num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = BoolishValueParser::new(), hide = true)]
    pub rpc_tls: bool,
}

/// What is particular to one of the two connections.
pub(super) struct Side<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The settings that `host` and `port` come from.
    pub(super) place: &'static str,
    pub(super) jwt: &'a Option<String>,
    pub(super) seed: &'a Option<String>,
    pub(super) creds: &'a Option<PathBuf>,
    pub(super) tls: bool,
    pub(super) flag: &'static str,
}

impl NatsLoginArgs {
    /// Whether a server needs to know who this host is, or speaks TLS: not one that is started in passing.
    #[must_use]
    pub fn is_particular(&self) -> bool {
        let texts = [&self.nats_jwt, &self.nats_seed, &self.nats_user, &self.nats_token, &self.ctl_jwt, &self.ctl_seed];
        let files = [&self.nats_creds, &self.nats_tls_ca, &self.nats_tls_cert, &self.ctl_creds, &self.rpc_creds];
        texts.iter().any(|text| text.is_some())
            || files.iter().any(|file| file.is_some())
            || self.rpc_jwt.is_some()
            || self.rpc_seed.is_some()
            || self.nats_tls
            || self.ctl_tls
            || self.rpc_tls
    }

    pub(super) fn options(&self, side: &Side<'_>, problems: &mut Problems) -> NatsOptions {
        let servers = problems.take(side.place, Servers::parse(side.host, side.port));
        let mut options = NatsOptions {
            urls: servers.map(|servers| servers.urls()).unwrap_or_default(),
            tls: self.nats_tls || side.tls,
            tls_ca: self.nats_tls_ca.clone(),
            tls_cert: self.nats_tls_cert.clone(),
            tls_key: self.nats_tls_key.clone(),
            retry: true,
            ..NatsOptions::default()
        };
        let own = side.jwt.is_some() || side.seed.is_some() || side.creds.is_some();
        let (jwt, seed, creds, flag) = match own {
            true => (side.jwt, side.seed, side.creds, side.flag),
            false => (&self.nats_jwt, &self.nats_seed, &self.nats_creds, "--nats-creds"),
        };
        (options.jwt, options.seed) = (jwt.clone(), seed.clone());
        if let Some(path) = creds
            && let Some(creds) = problems.take(flag, read_creds(path))
        {
            (options.jwt, options.seed) = (creds.jwt, Some(creds.seed));
        }
        if !own {
            // The misspelt name is that of 0.82 hosts (protocol section 8.1).
            let misspelt = || std::env::var("WASMCOULD_NATS_SEED").ok().filter(|seed| !seed.is_empty());
            options.seed = options.seed.or_else(misspelt);
            (options.user, options.password) = (self.nats_user.clone(), self.nats_password.clone());
            options.token = self.nats_token.clone();
        }
        if options.jwt.is_some() && options.seed.is_none() {
            problems.add(&format!("{flag}: a NATS user JWT is given without its seed"));
        }
        options
    }
}

fn read_creds(path: &std::path::Path) -> Result<Creds, String> {
    Creds::read(path).map_err(|error| match error {
        CredsError::Unreadable(error) => unreadable(path, &error),
        error => format!("`{}`: {error}", path.display()),
    })
}

/// Who a provider process is on the RPC connection.
#[derive(Debug, Clone, Default)]
pub struct ProviderLogin {
    /// The server, with user and password in it where there are any.
    pub url: String,
    /// User JWT.
    pub jwt: Option<String>,
    /// User seed.
    pub seed: Secret,
    /// TLS, where it is particular.
    pub tls: Option<RpcTls>,
}

impl HostConfig {
    /// Credentials for a provider process: its own where the operator has laid them down, else those of this host.
    ///
    /// # Errors
    /// A sentence for the operator: the directory has no file for it, or one that cannot be used.
    pub fn provider_login(&self, provider: &ProviderId) -> Result<ProviderLogin, String> {
        let Some(nats) = self.rpc.as_ref().or(self.ctl.as_ref()) else { return Ok(ProviderLogin::default()) };
        let particular = nats.tls || nats.tls_ca.is_some() || nats.tls_cert.is_some();
        let tls = particular.then(|| RpcTls {
            required: nats.tls,
            ca: nats.tls_ca.clone(),
            cert: nats.tls_cert.clone(),
            key: nats.tls_key.clone(),
        });
        let Some(directory) = &self.provider_creds else {
            let seed = Secret::new(nats.seed.clone().unwrap_or_default());
            return Ok(ProviderLogin { url: nats.url_with_login(), jwt: nats.jwt.clone(), seed, tls });
        };
        for name in [format!("{provider}.creds"), DEFAULT_CREDS.to_owned()] {
            let path = directory.join(name);
            match fs::exists(&path) {
                Ok(true) => {
                    let creds = read_creds(&path)?;
                    let url = NatsOptions { urls: nats.urls.clone(), ..NatsOptions::default() }.url_with_login();
                    return Ok(ProviderLogin {
                        url: without_login(&url),
                        jwt: creds.jwt,
                        seed: Secret::new(creds.seed),
                        tls,
                    });
                }
                Ok(false) => {}
                Err(error) => return Err(unreadable(&path, &error)),
            }
        }
        Err(format!(
            "no NATS credentials for provider `{provider}`: `{}` has neither `{provider}.creds` nor `{DEFAULT_CREDS}`",
            directory.display()
        ))
    }
}

fn unreadable(path: &std::path::Path, error: &io::Error) -> String {
    format!("cannot read `{}`: {error}", path.display())
}

/// What the host is called by must not reach a provider that has credentials of its own.
fn without_login(url: &str) -> String {
    Server::parse(url, DEFAULT_PORT).map(|server| server.to_string()).unwrap_or_default()
}
