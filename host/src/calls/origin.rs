//! Whether the caller of a call that arrives is one the lattice knows (protocol section 4.5, step 4).
//!
//! A trusted key may sign in the name of an actor or provider that does not exist. Claims travel with lattice state and may
//! come later than the first call: a call waits for them, for a moment. Invariant: nothing is carried out for a caller
//! without claims; few calls wait at a time.

use std::time::{Duration, Instant};

use claims::PublicKey;
use contracts::CallError;
use tokio::time::timeout_at;

use crate::core::Core;

/// Longest wait for the claims of a caller.
const WITHIN: Duration = Duration::from_secs(2);
/// Calls that wait; further ones are refused at once.
pub const MOST_WAITING: usize = 256;

/// Checks that the lattice has claims of a caller.
///
/// # Errors
/// [`CallError::Unauthorized`].
pub(crate) async fn check_known(core: &Core, caller: PublicKey, deadline: Instant) -> Result<(), CallError> {
    if core.tables().claims.knows(&caller) {
        return Ok(());
    }
    // Boxed: hardly any call comes here.
    Box::pin(wait(core, caller, deadline.min(Instant::now() + WITHIN))).await
}

async fn wait(core: &Core, caller: PublicKey, until: Instant) -> Result<(), CallError> {
    let unknown = || {
        let reason =
            format!("failed to look up claims for origin `{caller}`: the lattice knows no such actor or provider");
        CallError::Unauthorized { reason }
    };
    let _place = core.inbound.strangers.try_acquire().map_err(|_| unknown())?;
    let mut changed = core.tables().follow_claims();
    loop {
        if core.tables().claims.knows(&caller) {
            return Ok(());
        }
        match timeout_at(until.into(), changed.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(unknown()),
        }
    }
}
