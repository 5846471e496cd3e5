//! Whose native code runs here: provider archives become processes of this user, outside every sandbox.
//!
//! An actor of a stranger can do what its links allow; a provider of a stranger can do what this user can. So the list
//! of `--allowed-issuer` counts for both, but without a list an actor runs whoever signed it, and a provider only of an
//! account that the user of this host owns or has named. Knows no key directory: what answers is given by whoever starts
//! the host. Invariant: nothing that arrives over the broker changes an answer.

use std::{fmt, sync::Arc};

use claims::{AccountId, ProviderId};

use crate::core::Core;

/// Accounts that the user of this host owns or has named, in whatever way that is kept. Asked anew for every start, so
/// that a command of the user counts at once.
pub trait KnownIssuers: fmt::Debug + Send + Sync {
    /// Whether this account may run native code. May read files.
    fn knows(&self, issuer: &AccountId) -> bool;

    /// The command that makes it so.
    fn command(&self, issuer: &AccountId) -> String;
}

/// Whose native code runs where `--allowed-issuer` names nobody.
#[derive(Debug, Clone, Default)]
pub enum NativeIssuers {
    /// Nobody's: only those that are named.
    #[default]
    Named,
    /// That of accounts which the user owns or has named.
    Known(Arc<dyn KnownIssuers>),
    /// Anybody's.
    Any,
}

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

/// Whether native code of an account may run.
///
/// # Errors
/// [`UntrustedNative`] with the command that trusts it.
#[expect(clippy::result_large_err, reason = "ids are texts, and a start is rare")]
pub async fn check(core: &Core, provider: ProviderId, issuer: AccountId) -> Result<(), UntrustedNative> {
    let refuse = |next_step| Err(UntrustedNative { provider, issuer, next_step });
    let start_with = || {
        format!(
            "start the host with `--allowed-issuer {issuer}`, which makes a list of whose actors and providers run, or with `--allowed-issuer any`"
        )
    };
    if let Some(allowed) = &core.config.allowed_issuers {
        return if allowed.contains(&issuer) { Ok(()) } else { refuse(start_with()) };
    }
    let known = match &core.config.native_issuers {
        NativeIssuers::Any => return Ok(()),
        NativeIssuers::Named => return refuse(start_with()),
        NativeIssuers::Known(known) => known.clone(),
    };
    let asked = known.clone();
    match tokio::task::spawn_blocking(move || asked.knows(&issuer)).await {
        Ok(true) => Ok(()),
        _ => refuse(format!("trust it with `{}`, and start it again", known.command(&issuer))),
    }
}
