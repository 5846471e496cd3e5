//! Whose artifacts run here. Provider archives become processes of this user, outside every sandbox.
//!
//! An actor of a stranger can do what its links allow; a provider of a stranger can do what this user can. So the list
//! of `--allowed-issuer` counts for both, but without a list an actor runs whoever signed it, and a provider only of an
//! account that the user of this host owns or has named. Knows no key directory: what answers is given by whoever starts
//! the host. Invariant: nothing that arrives over the broker changes an answer.

use claims::{AccountId, ProviderId};

use crate::settings::NativeIssuers;

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

/// The accounts whose artifacts may run.
#[derive(Debug, Clone, Default)]
pub struct Issuers {
    /// Nobody but these; none: anybody.
    allowed: Option<Vec<AccountId>>,
    native: NativeIssuers,
}

impl Issuers {
    /// Those that the settings name.
    #[must_use]
    pub fn new(allowed: Option<Vec<AccountId>>, native: NativeIssuers) -> Self {
        Self { allowed, native }
    }

    /// Whether artifacts of an issuer may run here.
    #[must_use]
    pub fn trusts(&self, issuer: &AccountId) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(issuer))
    }

    /// Whether the settings name an issuer.
    #[must_use]
    pub fn names(&self, issuer: &AccountId) -> bool {
        self.allowed.as_ref().is_some_and(|allowed| allowed.contains(issuer))
    }

    /// Whether native code of an account may run. Blocks: it may read files.
    #[must_use]
    pub fn may_run_native(&self, issuer: &AccountId) -> bool {
        if let Some(allowed) = &self.allowed {
            return allowed.contains(issuer);
        }
        match &self.native {
            NativeIssuers::Any => true,
            NativeIssuers::Named => false,
            NativeIssuers::Known(known) => known.knows(issuer),
        }
    }

    /// The refusal of native code that may not run, with the command that trusts it.
    #[must_use]
    pub fn refusal(&self, provider: ProviderId, issuer: AccountId) -> UntrustedNative {
        let next_step = match (&self.allowed, &self.native) {
            (None, NativeIssuers::Known(known)) => {
                format!("trust it with `{}`, and start it again", known.command(&issuer))
            }
            _ => format!(
                "start the host with `--allowed-issuer {issuer}`, which makes a list of whose actors and providers run, or with `--allowed-issuer any`"
            ),
        };
        UntrustedNative { provider, issuer, next_step }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use claims::{KeyKind, PublicKey};

    use super::*;
    use crate::settings::KnownIssuers;

    fn account(byte: u8) -> AccountId {
        PublicKey::from_raw(KeyKind::Account, [byte; 32]).try_into().expect("an account")
    }

    #[derive(Debug)]
    struct Only(AccountId);

    impl KnownIssuers for Only {
        fn knows(&self, issuer: &AccountId) -> bool {
            *issuer == self.0
        }

        fn command(&self, issuer: &AccountId) -> String {
            format!("trust {issuer}")
        }
    }

    fn known(byte: u8) -> NativeIssuers {
        NativeIssuers::Known(Arc::new(Only(account(byte))))
    }

    #[test]
    fn without_a_list_actors_run_whoever_signed_them_and_native_code_does_not() {
        let issuers = Issuers::new(None, NativeIssuers::Named);
        assert!(issuers.trusts(&account(1)) && !issuers.names(&account(1)) && !issuers.may_run_native(&account(1)));
    }

    #[test]
    fn a_list_counts_for_actors_and_for_native_code() {
        let issuers = Issuers::new(Some(vec![account(1)]), known(2));
        assert!(issuers.trusts(&account(1)) && issuers.names(&account(1)) && issuers.may_run_native(&account(1)));
        assert!(!issuers.trusts(&account(2)) && !issuers.may_run_native(&account(2)), "a list is all there is");
    }

    #[test]
    fn an_empty_list_trusts_nobody() {
        let issuers = Issuers::new(Some(Vec::new()), NativeIssuers::Any);
        assert!(!issuers.trusts(&account(1)) && !issuers.may_run_native(&account(1)));
    }

    #[test]
    fn without_a_list_the_user_says_whose_native_code_runs() {
        let issuers = Issuers::new(None, known(2));
        assert!(issuers.may_run_native(&account(2)) && !issuers.may_run_native(&account(1)));
        assert!(Issuers::new(None, NativeIssuers::Any).may_run_native(&account(1)));
    }

    #[test]
    fn a_refusal_names_the_command_that_changes_it() {
        let provider = ProviderId::well_known("a");
        let asked = Issuers::new(None, known(2)).refusal(provider, account(1));
        assert!(asked.next_step.contains(&format!("`trust {}`", account(1))), "{asked}");
        for issuers in [Issuers::new(None, NativeIssuers::Named), Issuers::new(Some(Vec::new()), known(2))] {
            let refused = issuers.refusal(provider, account(1));
            assert!(refused.next_step.contains(&format!("--allowed-issuer {}", account(1))), "{refused}");
        }
    }
}
