//! Whose native code runs here: provider archives become processes of this user, outside every sandbox.
//!
//! An actor of a stranger can do what its links allow; a provider of a stranger can do what this user can. So the list
//! of `--allowed-issuer` counts for both, but without a list an actor runs whoever signed it, and a provider only of an
//! account that the user of this host owns or has named. Knows no key directory: what answers is given by whoever starts
//! the host. Invariant: nothing that arrives over the broker changes an answer.

use claims::{AccountId, ProviderId};

use crate::{core::Core, settings::NativeIssuers};

/// Native code of an account that is not trusted with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "provider `{provider}` is native code, which no sandbox holds, and is signed by `{issuer}`, which this host does not know; {next_step}"
)]
pub struct UntrustedNative {
    /// The provider.
    pub provider: ProviderId,
    /// Who signed it.
    pub issuer: AccountId,
    /// What makes it run.
    pub next_step: String,
}

/// Whether native code of an account may run. Blocks: it may read files.
#[must_use]
pub fn may_run(core: &Core, issuer: &AccountId) -> bool {
    if let Some(allowed) = &core.config.allowed_issuers {
        return allowed.contains(issuer);
    }
    match &core.config.native_issuers {
        NativeIssuers::Any => true,
        NativeIssuers::Named => false,
        NativeIssuers::Known(known) => known.knows(issuer),
    }
}

/// The refusal of what may not run, with the command that trusts it.
#[must_use]
pub fn refusal(core: &Core, provider: ProviderId, issuer: AccountId) -> UntrustedNative {
    let next_step = match (&core.config.allowed_issuers, &core.config.native_issuers) {
        (None, NativeIssuers::Known(known)) => {
            format!("trust it with `{}`, and start it again", known.command(&issuer))
        }
        _ => format!(
            "start the host with `--allowed-issuer {issuer}`, which makes a list of whose actors and providers run, or with `--allowed-issuer any`"
        ),
    };
    UntrustedNative { provider, issuer, next_step }
}
