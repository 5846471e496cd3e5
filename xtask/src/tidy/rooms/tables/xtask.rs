//! The rooms of `xtask/src`: one per command, above what commands share.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    ("main", &[ANY]),
    ("bench", &["actors", "nats_server", "tools", "workspace"]),
    ("demo", &["actors", "http", "nats_server", "ports", "tools", "workspace"]),
    ("docs", &["workspace"]),
    ("http", &[]),
    ("ports", &[]),
    ("test", &["actors", "fuzz", "guests", "nats_server", "tools", "workspace"]),
    ("fuzz", &["workspace"]),
    ("guests", &["tools", "workspace"]),
    ("tidy", &["workspace"]),
    ("tools", &["actors", "nats_server", "workspace"]),
    ("actors", &["workspace"]),
    ("nats_server", &["workspace"]),
    ("workspace", &[]),
];
