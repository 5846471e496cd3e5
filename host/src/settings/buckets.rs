//! Settings on how the JetStream buckets of a lattice are made where they are missing (`docs/nats.md`).
//!
//! For accounts that do not take the defaults: some demand a size, some have memory only. Invariant: a bucket that is there is
//! never changed.

use clap::Args;

/// How buckets are made that are missing. Those that are there stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Largest size of one bucket, bytes; none for as much as the account may have.
    pub max_bytes: Option<i64>,
    /// On how many servers of a cluster a bucket is kept; none for one.
    pub replicas: Option<usize>,
    /// In memory instead of on disk.
    pub in_memory: bool,
}

/// How missing buckets are made, as flags and environment variables.
#[derive(Debug, Clone, Default, Args)]
pub struct BucketArgs {
    /// Largest size of each JetStream bucket that the host makes, bytes; for accounts that demand one [default: none]
    #[arg(long, env = "WASH_BUCKET_MAX_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1..))]
    pub bucket_max_bytes: Option<i64>,
    /// On how many servers of a NATS cluster each of these buckets is kept, 1 to 5 [default: 1]
    #[arg(long, env = "WASH_BUCKET_REPLICAS", value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub bucket_replicas: Option<u8>,
    /// Keep these buckets in the memory of the server instead of on its disk
    #[arg(long, env = "WASH_BUCKET_IN_MEMORY", num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = clap::builder::BoolishValueParser::new())]
    pub bucket_in_memory: bool,
}

impl BucketArgs {
    pub(super) fn settings(&self) -> BucketSettings {
        BucketSettings {
            max_bytes: self.bucket_max_bytes,
            replicas: self.bucket_replicas.map(usize::from),
            in_memory: self.bucket_in_memory,
        }
    }
}
