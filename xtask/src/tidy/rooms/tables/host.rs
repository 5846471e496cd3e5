//! The rooms of `host/src`, as `docs/adr/0018-rooms-of-the-host.md` has them: what stands higher knows what stands lower.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    // Builds the rooms from the lowest up, and takes them down.
    ("host", &[ANY]),
    // Two transports, one handler per operation: decodes, refuses, answers.
    (
        "control",
        &[
            "workloads",
            "inventory",
            "calls",
            "providers",
            "actors",
            "artifacts",
            "trust",
            "events",
            "identity",
            "failures",
            "nats",
            "process",
        ],
    ),
    (
        "admin",
        &[
            "presence",
            "workloads",
            "inventory",
            "providers",
            "actors",
            "events",
            "identity",
            "nats",
            "process",
            "settings",
            "meters",
            "peers",
        ],
    ),
    ("presence", &["inventory", "calls", "events", "identity", "nats", "process", "peers"]),
    // What runs, and why.
    (
        "workloads",
        &["calls", "providers", "actors", "artifacts", "policy", "trust", "events", "failures", "process", "meters"],
    ),
    ("links", &["providers", "trust", "events", "failures", "nats", "process"]),
    ("inventory", &["providers", "actors", "identity", "nats", "settings", "peers"]),
    // One call in every direction.
    (
        "calls",
        &[
            "providers",
            "actors",
            "policy",
            "trust",
            "identity",
            "failures",
            "nats",
            "process",
            "settings",
            "meters",
            "peers",
        ],
    ),
    ("providers", &["actors", "events", "identity", "failures", "nats", "process", "settings", "meters"]),
    ("actors", &["events", "failures", "meters"]),
    ("artifacts", &["identity", "nats", "process", "settings"]),
    ("policy", &["identity", "nats", "settings"]),
    ("trust", &["identity", "process", "settings"]),
    ("events", &["identity", "nats"]),
    ("identity", &["process"]),
    ("failures", &["process"]),
    ("nats", &["process", "settings"]),
    ("settings", &["process"]),
    ("process", &[]),
    ("meters", &[]),
    ("peers", &[]),
];
