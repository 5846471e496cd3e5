//! The rooms of `crates/lattice/src`.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    ("client", &["chunk", "control", "event", "invocation", "link", "name", "subject", "wire"]),
    ("config_service", &["control"]),
    ("event", &["control", "link", "name", "wire"]),
    ("health", &["wire"]),
    ("host_data", &["link", "name", "wire"]),
    ("member", &["name"]),
    ("policy", &["control", "name"]),
    ("control", &["bounds", "link", "name"]),
    ("bounds", &["link", "name", "stored_claims", "subject"]),
    ("session", &["invocation", "name"]),
    ("invocation", &["chunk", "name", "wire"]),
    ("chunk", &[]),
    ("shutdown", &[]),
    ("stored_claims", &[]),
    ("subject", &["link", "name"]),
    ("link", &["name", "wire"]),
    ("name", &[]),
    ("wire", &[]),
];
