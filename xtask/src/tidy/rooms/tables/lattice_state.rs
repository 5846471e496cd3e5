//! The rooms of `crates/lattice-state/src`: one task above two ports, and beneath them decisions that touch nothing.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    // The task between tables, disk and buckets.
    (
        "store",
        &[
            "world",
            "buckets",
            "replica",
            "known",
            "claims",
            "links",
            "owners",
            "revocations",
            "merge",
            "rules",
            "conflict",
            "bucket",
        ],
    ),
    // The ports, and the disk of hosts.
    ("world", &["buckets", "replica", "merge", "conflict", "bucket"]),
    ("buckets", &["merge", "bucket"]),
    ("replica", &["merge", "bucket"]),
    // Decisions.
    ("known", &["merge", "bucket"]),
    ("claims", &["owners"]),
    ("links", &[]),
    ("scale", &[]),
    ("owners", &["revocations"]),
    ("revocations", &["rules"]),
    ("merge", &["rules"]),
    // For the simulation, which breaks them one at a time.
    ("rules", &[]),
    ("conflict", &["bucket"]),
    ("bucket", &[]),
];
