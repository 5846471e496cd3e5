//! Why an operator's request has no answer.
//!
//! Every variant has a stable code, a sentence that says what was being done, and where there is one a next step for
//! the person who reads it. A host's own words are passed on verbatim.

use std::{io, path::PathBuf, time::Duration};

use claims::HostId;

use super::{CredsError, TlsProblem};
use crate::LatticeId;

/// No connection to NATS or to the control socket of a host.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An address that is none.
    #[error("`{url}` is not an address of a NATS server: {reason}")]
    Address {
        /// The address, without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A user JWT without the seed that proves it.
    #[error("a NATS user JWT is given without its seed")]
    SeedMissing,
    /// The user seed is malformed or of the wrong kind.
    #[error("the NATS user seed is unusable: {reason}")]
    Seed {
        /// What is wrong with it.
        reason: String,
    },
    /// The credentials file is missing or malformed.
    #[error("cannot read NATS credentials from `{path}`", path = path.display())]
    CredentialsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CredsError,
    },
    /// A file for TLS is missing or may not be read.
    #[error("cannot read `{path}`, a file for TLS with NATS", path = path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Half of a client certificate.
    #[error("a client certificate for NATS needs both its certificate and its key")]
    TlsPair,
    /// Nobody listens there, or the way is blocked.
    #[error("cannot connect to NATS at `{urls}`")]
    Unreachable {
        /// The addresses, without credentials.
        urls: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// Somebody answers there, and TLS with them fails.
    #[error("TLS with NATS at `{urls}` failed: {problem}")]
    Tls {
        /// The addresses, without credentials.
        urls: String,
        /// In which way.
        problem: TlsProblem,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// The server did not answer in time.
    #[error("NATS at `{urls}` did not answer within {after:?}")]
    TimedOut {
        /// The addresses, without credentials.
        urls: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server does not know these credentials.
    #[error("NATS at `{urls}` refused the credentials")]
    Denied {
        /// The addresses, without credentials.
        urls: String,
        /// What the server said.
        source: async_nats::ConnectError,
    },
    /// No host listens on the control socket.
    #[error("cannot connect to the control socket `{path}`", path = path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ConnectError {
    /// Stable word for logs, tests and scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "nats_address_invalid",
            Self::SeedMissing => "nats_seed_missing",
            Self::Seed { .. } => "nats_seed_invalid",
            Self::CredentialsFile { .. } => "nats_credentials_unreadable",
            Self::TlsFile { .. } => "nats_tls_file",
            Self::TlsPair => "nats_tls_pair",
            Self::Unreachable { .. } => "nats_unreachable",
            Self::TimedOut { .. } => "nats_timed_out",
            Self::Tls { .. } => "nats_tls",
            Self::Denied { .. } => "nats_denied",
            Self::Socket { .. } => "control_socket_unreachable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address { .. } => "write it as `nats://host:port`",
            Self::SeedMissing => "give the seed that belongs to the JWT, or a credentials file with both",
            Self::Seed { .. } => "give the seed of a NATS user; it begins with `SU`",
            Self::CredentialsFile { .. } => {
                "the file holds a NATS user JWT and its seed, as `nsc generate creds` writes it"
            }
            Self::TlsFile { .. } => "name a file of certificates or of a key, in PEM",
            Self::TlsPair => "give the files of both, or of neither",
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "start a host and, if needed, NATS with `wash up`, or give the address of a running NATS server"
            }
            Self::Tls { problem, .. } => problem.hint(),
            Self::Denied { .. } => "give the credentials of a user of this NATS server",
            Self::Socket { .. } => "start a host on this machine with `wash up`",
        }
    }
}

/// Why an operation of the control interface did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The lattice is empty, or nobody in it handles this.
    #[error("no host in lattice `{lattice}` answered{}", within(*waited))]
    NoHost {
        /// The lattice.
        lattice: LatticeId,
        /// How long it was waited for; `None` when the broker said at once that nobody listens.
        waited: Option<Duration>,
    },
    /// Nobody listens under this host id.
    #[error("host `{host}` is not in lattice `{lattice}`")]
    HostAbsent {
        /// The host asked for.
        host: HostId,
        /// The lattice.
        lattice: LatticeId,
    },
    /// Somebody listens but did not answer in time.
    #[error("no answer to `{operation}` within {after:?}")]
    TimedOut {
        /// What was asked.
        operation: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The host said no. Its words, verbatim.
    #[error("{message}")]
    Refused {
        /// What the host said.
        message: String,
    },
    /// The host that answered did it, and the lattice does not hear of it.
    #[error("one host keeps this and no other hears of it: {reason}")]
    KeptHere {
        /// The host's words.
        reason: String,
    },
    /// The answer is not what the protocol says.
    #[error("cannot read the answer to `{operation}`: {reason}")]
    Undecodable {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
    /// Something to be sent cannot be sent like this.
    #[error("{what} `{value}` cannot be used: {reason}")]
    Invalid {
        /// Which part of the request.
        what: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// The NATS server does not let this user ask.
    #[error("cannot ask `{operation}`: {forbidden}")]
    Forbidden {
        /// What was asked.
        operation: &'static str,
        /// What the server forbade.
        forbidden: super::Forbidden,
    },
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There was a connection, and it is down now or broke off.
    #[error("the connection is lost: {reason}")]
    Disconnected {
        /// What is known about it.
        reason: String,
    },
}

impl ControlError {
    /// Stable word for logs, tests and scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHost { .. } => "no_host",
            Self::HostAbsent { .. } => "host_absent",
            Self::TimedOut { .. } => "timed_out",
            Self::Refused { .. } => "refused",
            Self::KeptHere { .. } => "kept_here",
            Self::Undecodable { .. } => "undecodable_reply",
            Self::Invalid { .. } => "invalid_request",
            Self::Forbidden { .. } => "nats_forbidden",
            Self::Connect(error) => error.code(),
            Self::Disconnected { .. } => "disconnected",
        }
    }

    /// What to do about it, where something can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoHost { .. } => Some("start one with `wash up`, or choose another lattice with `--lattice`"),
            Self::HostAbsent { .. } => Some("see which hosts there are with `wash get hosts`"),
            Self::TimedOut { .. } => Some("see whether the host is alive with `wash get hosts`, or wait longer"),
            Self::Forbidden { .. } => {
                Some("give this NATS user the permissions of its role (`docs/nats.md`), or use other credentials")
            }
            Self::KeptHere { .. } => {
                Some("let the lattice have its buckets on the NATS server (`docs/nats.md`); what is kept is sent then")
            }
            Self::Connect(error) => Some(error.hint()),
            Self::Disconnected { .. } => Some("try again when the connection is back"),
            Self::Refused { .. } | Self::Undecodable { .. } | Self::Invalid { .. } => None,
        }
    }
}

fn within(waited: Option<Duration>) -> String {
    waited.map(|waited| format!(" within {waited:?}")).unwrap_or_default()
}
