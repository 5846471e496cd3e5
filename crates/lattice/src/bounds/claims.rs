//! How large what signed claims show may be.

use super::{LimitExceeded, MAX_CLAIM_TEXT, bytes};
use crate::stored_claims::StoredClaims;

impl StoredClaims {
    /// Checks what people and programs are shown of them.
    ///
    /// # Errors
    /// [`LimitExceeded`] for a name, version or call alias that is too long.
    pub fn check_size(&self) -> Result<(), LimitExceeded> {
        let (version, alias) = match self {
            Self::Actor(actor) => (&actor.version, actor.call_alias.as_deref().unwrap_or_default()),
            Self::Provider(provider) => (&provider.version, ""),
        };
        for (member, text) in [("name", self.name()), ("version", version), ("call alias", alias)] {
            bytes(format!("{member} in the claims of `{}`", self.subject()), text.len(), MAX_CLAIM_TEXT)?;
        }
        Ok(())
    }
}
