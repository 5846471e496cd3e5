//! Whose native code runs where no list names the issuers: a setting, and what answers for the user of this host.

use std::{fmt, sync::Arc};

use claims::AccountId;

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
