//! Whether the caller of a call that arrives is one the lattice knows (protocol section 4.5, step 4).
//!
//! A trusted key may sign in the name of an actor or provider that does not exist. Claims travel with lattice state and may
//! come later than the first call: a call waits for them, for a moment. Invariant: nothing is carried out for a caller
//! without claims; few calls wait at a time.

use std::time::{Duration, Instant};

use claims::PublicKey;
use contracts::CallError;
use tokio::time::timeout_at;

use super::permission::Permission;

/// Longest wait for the claims of a caller.
const WITHIN: Duration = Duration::from_secs(2);
/// Calls that wait; further ones are refused at once.
pub(super) const MOST_WAITING: usize = 256;

/// Checks that the lattice has claims of a caller.
///
/// # Errors
/// [`CallError::Unauthorized`].
pub(super) async fn check_known(
    permission: &Permission,
    caller: PublicKey,
    deadline: Instant,
) -> Result<(), CallError> {
    if permission.tables().claims.knows(&caller) {
        return Ok(());
    }
    // Boxed: hardly any call comes here.
    Box::pin(wait(permission, caller, deadline.min(Instant::now() + WITHIN))).await
}

async fn wait(permission: &Permission, caller: PublicKey, until: Instant) -> Result<(), CallError> {
    let unknown = || {
        let reason =
            format!("failed to look up claims for origin `{caller}`: the lattice knows no such actor or provider");
        CallError::Unauthorized { reason }
    };
    let _place = permission.strangers.try_acquire().map_err(|_| unknown())?;
    let mut changed = permission.tables().follow_claims();
    loop {
        if permission.tables().claims.knows(&caller) {
            return Ok(());
        }
        match timeout_at(until.into(), changed.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(unknown()),
        }
    }
}
