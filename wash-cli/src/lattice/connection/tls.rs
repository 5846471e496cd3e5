//! TLS with a NATS server, as the user says it.

use std::path::PathBuf;

use clap::Args;

/// TLS with a NATS server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Connection")]
pub struct TlsArgs {
    /// Refuse a connection to NATS without TLS
    #[arg(long = "nats-tls", env = "WASH_NATS_TLS", value_parser = clap::builder::FalseyValueParser::new(), hide_short_help = true,
          action = clap::ArgAction::SetTrue, hide_env_values = true)]
    pub required: bool,
    /// File with certificates (PEM) of the authorities that NATS is trusted by, instead of the system's
    #[arg(long = "nats-tls-ca", env = "WASH_NATS_TLS_CA", value_name = "FILE", hide_short_help = true)]
    pub ca: Option<PathBuf>,
    /// File with our own certificate (PEM) for NATS
    #[arg(long = "nats-tls-cert", env = "WASH_NATS_TLS_CERT", value_name = "FILE", hide_short_help = true)]
    pub cert: Option<PathBuf>,
    /// File with the key (PEM) of that certificate
    #[arg(long = "nats-tls-key", env = "WASH_NATS_TLS_KEY", value_name = "FILE", hide_short_help = true)]
    pub key: Option<PathBuf>,
}

impl TlsArgs {
    /// These, and from `saved` what is not among them.
    pub(super) fn over(&self, saved: Self) -> Self {
        Self {
            required: self.required || saved.required,
            ca: self.ca.clone().or(saved.ca),
            cert: self.cert.clone().or(saved.cert),
            key: self.key.clone().or(saved.key),
        }
    }
}
