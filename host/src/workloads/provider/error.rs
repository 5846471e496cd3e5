//! Why a provider does not start.

use std::time::Duration;

use claims::ProviderId;

use lattice_state::{revocations::Named, store::StoreError};

use crate::{
    artifacts::FetchError,
    policy::PolicyError,
    providers::{archive, process::LaunchError},
    trust::{
        issuers::{Issuers, UntrustedNative},
        ownership::NotTheOwner,
    },
};

/// Why a provider does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartProviderError {
    /// The artifact cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The archive is not acceptable.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
    /// It runs already.
    #[error("provider `{id}` is already running under link name `{link_name}` on this host")]
    AlreadyRunning {
        /// The provider.
        id: ProviderId,
        /// The link name.
        link_name: String,
    },
    /// Another archive of the same provider runs.
    #[error(
        "provider `{id}` runs under link name `{link_name}` on this host from `{running}`, which is not what `{wanted}` holds now; stop it with `wash stop provider`, then start it again"
    )]
    OtherRuns {
        /// The provider.
        id: Box<ProviderId>,
        /// The link name.
        link_name: String,
        /// The reference that runs.
        running: String,
        /// The reference that was to run.
        wanted: String,
    },
    /// A stop came while it was on its way.
    #[error("`{reference}` was stopped before it ran")]
    StoppedMeanwhile {
        /// As written.
        reference: String,
    },
    /// Its issuer is not trusted with native code.
    #[error(transparent)]
    UntrustedIssuer(Box<UntrustedNative>),
    /// Its id belongs to another account.
    #[error(transparent)]
    Owner(Box<NotTheOwner>),
    /// A revocation list names it.
    #[error("`{reference}` is refused: {named}")]
    Revoked {
        /// As written.
        reference: String,
        /// The entry.
        named: Box<Named>,
    },
    /// The policy service says no, or nothing.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A process cannot be reached without NATS.
    #[error(
        "`{reference}` runs as a process, which needs NATS; this host runs without: use a `builtin://` provider, or start NATS and the host again"
    )]
    NeedsNats {
        /// As written.
        reference: String,
    },
    /// A provider that is compiled in refuses what it was started with.
    #[error("{reason}")]
    Refused {
        /// In its words.
        reason: String,
    },
    /// Its process cannot be started.
    #[error("cannot start the provider")]
    Launch(#[from] LaunchError),
    /// Its process ended too early.
    #[error("the provider process ended before it answered, with {how}")]
    Ended {
        /// Status, and what it said last.
        how: String,
    },
    /// Its process says nothing.
    #[error("the provider process did not answer a health check within {within:?}")]
    Silent {
        /// How long it was asked.
        within: Duration,
    },
    /// Its claims name something that is no contract.
    #[error("`{contract}` in the claims of the provider is no contract")]
    Contract {
        /// What they name.
        contract: String,
        /// What is wrong with it.
        source: lattice::NameError,
    },
    /// Its claims cannot be kept.
    #[error("cannot record the claims of the provider")]
    Store(#[from] StoreError),
    /// A step was interrupted.
    #[error("unpacking was interrupted")]
    Interrupted,
}

impl From<UntrustedNative> for StartProviderError {
    fn from(error: UntrustedNative) -> Self {
        Self::UntrustedIssuer(Box::new(error))
    }
}

impl From<NotTheOwner> for StartProviderError {
    fn from(error: NotTheOwner) -> Self {
        Self::Owner(Box::new(error))
    }
}

impl StartProviderError {
    /// Of an archive that is refused. A stranger's is, before anything of it is unpacked.
    pub(super) fn of_archive(issuers: &Issuers, error: archive::ArchiveError) -> Self {
        if let archive::ArchiveError::Archive(claims::ArchiveError::UntrustedIssuer { subject, issuer }) = &error
            && let Ok(id) = subject.parse()
        {
            return issuers.refusal(id, **issuer).into();
        }
        error.into()
    }

    /// Stable word for logs, tests and docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.code(),
            Self::Archive(_) => "archive_refused",
            Self::AlreadyRunning { .. } => "already_running",
            Self::OtherRuns { .. } => "other_runs",
            Self::StoppedMeanwhile { .. } => "stopped_meanwhile",
            Self::UntrustedIssuer(_) => "untrusted_issuer",
            Self::Owner(error) => error.code(),
            Self::Revoked { .. } => "revoked",
            Self::Policy(error) => error.code(),
            Self::NeedsNats { .. } => "needs_nats",
            // One word for all of these: it is what hosts said before they were told apart.
            Self::Refused { .. }
            | Self::Launch(_)
            | Self::Ended { .. }
            | Self::Silent { .. }
            | Self::Contract { .. }
            | Self::Store(_)
            | Self::Interrupted => "start_failed",
        }
    }

    /// Whether the same start may succeed later without anybody changing anything here.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fetch(error) => error.may_pass(),
            Self::Policy(error) => error.may_pass(),
            _ => false,
        }
    }
}
