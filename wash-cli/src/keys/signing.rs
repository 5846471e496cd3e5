//! What every signing command shares: which keys sign, and from when until when the claims hold.
//!
//! Knows options and the key directory; what is signed is up to the commands.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use claims::{KeyKind, KeyPair};
use clap::Args;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    context::Context,
    keys::keystore::{self, KeyStore},
    terminal::failure::{Failure, Result},
};

/// Revision of what is signed without one. Old hosts keep the unpacked binary of a provider by its revision when that is
/// above zero, so a default above zero would let a stale one run.
pub const DEFAULT_REVISION: i32 = 0;
/// Version of what is signed without one.
pub const DEFAULT_VERSION: &str = "0.1.0";
const SECONDS_PER_DAY: u64 = 86_400;

/// Which keys sign.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// Key that signs: a seed, or a file that holds one. Default: this user's key of the key directory
    #[arg(short = 'i', long, env = "WASH_ISSUER_KEY", value_name = "SEED|FILE", hide_env_values = true)]
    pub issuer: Option<OsString>,
    /// Key of what is signed: a seed, or a file that holds one. Default: the key directory, by name
    #[arg(short = 's', long, env = "WASH_SUBJECT_KEY", value_name = "SEED|FILE", hide_env_values = true)]
    pub subject: Option<OsString>,
    /// Key directory [default: ~/.wash/keys]
    #[arg(long, env = "WASH_KEYS", value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Fail when a key is missing instead of making it
    #[arg(long)]
    pub disable_keygen: bool,
}

impl KeyArgs {
    /// The key directory to look in.
    pub fn store(&self, context: &Context) -> KeyStore {
        KeyStore::new(self.directory.clone().unwrap_or_else(|| context.home.keys()), !self.disable_keygen)
    }
}

/// From when until when the claims hold.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ValidityArgs {
    /// Days until the claims expire. Default: never
    #[arg(short = 'x', long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub expires: Option<u64>,
    /// Days until the claims become valid. Default: at once
    #[arg(short = 'b', long, value_name = "DAYS")]
    pub nbf: Option<u64>,
}

impl ValidityArgs {
    /// When the claims expire, in seconds since 1970.
    pub fn expires_at(&self, now: u64) -> Option<u64> {
        in_days(self.expires, now)
    }

    /// When they become valid.
    pub fn not_before(&self, now: u64) -> Option<u64> {
        in_days(self.nbf, now)
    }
}

fn in_days(days: Option<u64>, now: u64) -> Option<u64> {
    days.map(|days| now.saturating_add(days.saturating_mul(SECONDS_PER_DAY)))
}

/// The cluster key: the given one, else the `saved` one of the connection, else the one that `wash up` made.
///
/// # Errors
/// The given one is unusable, or there is none; `what` is what it was to sign.
pub fn cluster_key(given: Option<&OsStr>, saved: Option<&str>, what: &str, context: &Context) -> Result<KeyPair> {
    if let Some(given) = given.or(saved.map(OsStr::new)) {
        return keystore::from_argument(given, KeyKind::Cluster);
    }
    let store = KeyStore::new(context.home.keys(), false);
    store.existing("cluster", KeyKind::Cluster)?.ok_or_else(|| {
        Failure::new(format!(
            "no cluster key to sign the {what} with: `{}` is missing",
            store.directory().join("cluster.nk").display()
        ))
        .hint(
            "a host started with `wash up` on this machine makes it; for other hosts give theirs with `--cluster-seed`",
        )
    })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment as people write it, in UTC.
pub fn date(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_now() {
        let validity = ValidityArgs { expires: Some(2), nbf: None };
        assert_eq!(validity.expires_at(1000), Some(1000 + 172_800));
        assert_eq!(validity.not_before(1000), None);
        assert_eq!(ValidityArgs { expires: Some(u64::MAX), nbf: None }.expires_at(1), Some(u64::MAX));
    }

    #[test]
    fn moments_are_dates_in_utc_and_impossible_ones_are_numbers() {
        assert_eq!(date(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(date(u64::MAX), u64::MAX.to_string());
    }
}
