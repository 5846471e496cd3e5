//! What every artifact passes before it runs here, whatever it is: fetched, not revoked, its id its issuer's, permitted.

use std::sync::Arc;

use claims::{AccountId, PublicKey};
use lattice::stored_claims::StoredClaims;

use lattice_state::{
    revocations::{Named, Provenance},
    store::{Store, StoreError, Tables},
};

use crate::{
    artifacts::Artifacts,
    meters::Metrics,
    policy::Policy,
    trust::{
        issuers::Issuers,
        ownership::{NotTheOwner, Owners},
    },
};

/// What artifacts are judged by.
pub struct Admission {
    /// Where they come from.
    pub artifacts: Arc<Artifacts>,
    /// Whose may run.
    pub issuers: Issuers,
    /// Whose ids are whose.
    pub owners: Arc<Owners>,
    /// Who decides what may start; none permits everything.
    pub policy: Option<Arc<Policy>>,
    /// Lattice state.
    pub store: Store,
    /// How long the steps take.
    pub meters: Arc<Metrics>,
}

impl Admission {
    /// Lattice state in memory.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// The entry of a revocation list that names an artifact.
    #[must_use]
    pub fn revoked(&self, artifact: &Provenance) -> Option<Named> {
        self.tables().revocations().find(artifact)
    }

    /// Whether an account may use an id, as far as this host knows now.
    ///
    /// # Errors
    /// [`NotTheOwner`].
    #[expect(clippy::result_large_err, reason = "ids are texts, and a start is rare")]
    pub fn check_owner(&self, subject: PublicKey, issuer: AccountId) -> Result<(), NotTheOwner> {
        self.owners.check(subject, issuer)
    }

    /// Puts claims where every host of the lattice sees them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record(&self, claims: &StoredClaims) -> Result<(), StoreError> {
        self.store.put_claims(claims).await
    }
}
