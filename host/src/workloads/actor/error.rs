//! Why an actor does not start, scale or update.

use claims::{ActorId, ArtifactError};
use lattice_state::{revocations::Named, store::StoreError};
use runtime::{LimitError, LoadError};

use crate::{artifacts::FetchError, policy::PolicyError, trust::ownership::NotTheOwner};

/// Why an actor does not start, scale or update.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// The artifact cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is unsigned, tampered with, expired, or not wasm.
    #[error("`{reference}` is refused")]
    Artifact {
        /// As the client wrote it.
        reference: String,
        /// Why.
        source: Box<ArtifactError>,
    },
    /// Its issuer is not trusted.
    #[error(
        "actor `{actor}` is signed by `{issuer}`, which this host does not trust; allow it with `--allowed-issuer`"
    )]
    UntrustedIssuer {
        /// The actor.
        actor: ActorId,
        /// Who signed it.
        issuer: String,
    },
    /// A revocation list names it.
    #[error("`{reference}` is refused: {named}")]
    Revoked {
        /// As the client wrote it.
        reference: String,
        /// The entry.
        named: Box<Named>,
    },
    /// Its id belongs to another account.
    #[error(transparent)]
    Owner(Box<NotTheOwner>),
    /// It cannot be compiled or linked.
    #[error("`{reference}` cannot be loaded")]
    Load {
        /// As the client wrote it.
        reference: String,
        /// Why.
        source: LoadError,
    },
    /// The policy service says no, or nothing.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A limit the start asks for cannot be had.
    #[error("the limits of `{reference}` are refused")]
    Limits {
        /// As the client wrote it.
        reference: String,
        /// Which, and why.
        source: Box<LimitError>,
    },
    /// Another version runs; only an update may replace it.
    #[error(
        "actor is already running with a different image reference `{running}`; `wash update actor {actor} {wanted}` puts this one in its place"
    )]
    OtherReference {
        /// The actor.
        actor: ActorId,
        /// The reference that runs.
        running: String,
        /// The reference that was to run, as the client wrote it.
        wanted: String,
    },
    /// What is under the reference is not what runs.
    #[error(
        "`{reference}` has changed since it was started; `wash update actor {actor} {reference}` runs what it is now"
    )]
    FileChanged {
        /// As the client wrote it.
        reference: String,
        /// The actor that runs from it.
        actor: ActorId,
    },
    /// A stop came while it was on its way.
    #[error("`{reference}` was stopped before it ran")]
    StoppedMeanwhile {
        /// As the client wrote it.
        reference: String,
    },
    /// Not the actor that was to be updated.
    #[error("`{reference}` holds actor `{found}`, not `{expected}`")]
    OtherActor {
        /// As the client wrote it.
        reference: String,
        /// What it holds.
        found: Box<ActorId>,
        /// What was asked for.
        expected: Box<ActorId>,
    },
    /// The actor to be updated does not run.
    #[error("actor not found")]
    NotRunning,
    /// The actor to be updated runs, but not so.
    #[error("actor instance with matching annotations not found")]
    NoSuchInstance,
    /// Claims cannot be kept.
    #[error("cannot record the claims of the actor")]
    Store(#[from] StoreError),
    /// A step was interrupted.
    #[error("verifying the actor was interrupted")]
    Interrupted,
}

impl From<NotTheOwner> for ActorError {
    fn from(error: NotTheOwner) -> Self {
        Self::Owner(Box::new(error))
    }
}

impl ActorError {
    /// Stable word for logs, tests and docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.code(),
            Self::Artifact { source, .. } => source.code(),
            Self::UntrustedIssuer { .. } => "untrusted_issuer",
            Self::Revoked { .. } => "revoked",
            Self::Owner(error) => error.code(),
            Self::Load { source, .. } => source.code(),
            Self::Policy(error) => error.code(),
            Self::Limits { .. } => "limits_refused",
            Self::OtherReference { .. } => "other_reference",
            Self::FileChanged { .. } => "file_changed",
            Self::StoppedMeanwhile { .. } => "stopped_meanwhile",
            Self::OtherActor { .. } => "other_actor",
            Self::NotRunning => "not_running",
            Self::NoSuchInstance => "no_such_instance",
            Self::Store(_) => "store_failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The actor, where the error is about one that is known.
    #[must_use]
    pub fn actor(&self) -> Option<ActorId> {
        match self {
            Self::UntrustedIssuer { actor, .. }
            | Self::OtherReference { actor, .. }
            | Self::FileChanged { actor, .. } => Some(*actor),
            Self::Owner(error) => match error.as_ref() {
                NotTheOwner::Other { subject, .. } => (*subject).try_into().ok(),
                _ => None,
            },
            Self::Revoked { named, .. } => named.revoked.to_string().parse().ok(),
            _ => None,
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
