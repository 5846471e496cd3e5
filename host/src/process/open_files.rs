//! How many files this process may have open.
//!
//! Every actor whose code is mapped from the cache has one open, and so has every connection; the usual soft limit of
//! 1,024 is a leftover. Invariant: a limit is only ever raised, and only as far as the system lets this user.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where the hard limit is none, which the soft one may not always be.
const ENOUGH: u64 = 1 << 20;

/// Raises the soft limit to the hard one. Providers inherit it.
pub(crate) fn allow_many() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(ENOUGH);
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(%error, open_files = current, "cannot raise the limit of open files; each actor needs one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afterwards_the_limit_is_as_high_as_it_may_be() {
        allow_many();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert!(current.is_none_or(|current| current >= maximum.unwrap_or(ENOUGH)), "{current:?} of {maximum:?}");
    }
}
