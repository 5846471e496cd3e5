//! Whose artifacts run: `--allowed-issuer`, `--strict`.
//!
//! A list is the whole list, for actors and providers. Invariant: `any` is said in so many words, and stands alone.

use claims::AccountId;

use super::Problems;
use crate::settings::NativeIssuers;

const ANY: &str = "any";

/// The list, if there is one, and what holds for native code where there is none.
pub(super) fn of(given: &[String], strict: bool, problems: &mut Problems) -> (Option<Vec<AccountId>>, NativeIssuers) {
    if given.iter().any(|issuer| issuer == ANY) {
        if strict || given.iter().any(|issuer| issuer != ANY) {
            problems.add(
                "--allowed-issuer: `any` lets everything run; it stands neither beside accounts nor beside `--strict`",
            );
        }
        return (None, NativeIssuers::Any);
    }
    let issuers = problems.list("--allowed-issuer", given);
    ((strict || !given.is_empty()).then_some(issuers), NativeIssuers::Named)
}
