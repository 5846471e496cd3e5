//! Whether the signed claims of an actor name a contract.

use claims::ActorId;
use contracts::CallError;

use lattice_state::store::Tables;

use super::Actors;

/// What runs here is known exactly, others by lattice state; of whom nothing is known, nothing is denied here.
///
/// # Errors
/// [`CallError::NotGranted`].
pub fn check_grant(actors: &Actors, tables: &Tables, actor: &ActorId, contract: &str) -> Result<(), CallError> {
    let granted = actors.grants(actor, contract);
    if granted.unwrap_or_else(|| !tables.claims.lacks(actor, contract)) {
        return Ok(());
    }
    Err(CallError::NotGranted { caller: actor.to_string(), contract: contract.to_owned() })
}

/// Whether an actor runs here, or its signed claims are known: some host has verified it then.
#[must_use]
pub fn exists(actors: &Actors, tables: &Tables, actor: &ActorId) -> bool {
    actors.get(actor).is_some() || tables.claims.get(&actor.public_key()).is_some()
}
