//! The rooms of `crates/runtime/src`.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]), // what hosts and `wash` see
    (
        "command",
        &["actor", "call", "compiled", "component", "engine", "error", "guest", "limits", "load", "module", "runtime"],
    ),
    ("runtime", &["actor", "compiled", "engine", "error", "guest", "limits", "load"]),
    (
        "guest",
        &[
            "actor",
            "call",
            "compiled",
            "component",
            "engine",
            "error",
            "instances",
            "limits",
            "module",
            "schedule",
            "sync",
        ],
    ),
    ("component", &["actor", "call", "engine", "error", "instances", "limits", "load", "schedule"]),
    ("module", &["actor", "call", "error", "instances", "limits", "load"]),
    ("compiled", &["engine", "error", "load"]), // engines and bytes, not actors
    ("call", &["actor", "error", "limits", "schedule"]),
    ("actor", &["error", "limits", "schedule"]),
    ("instances", &["engine", "limits", "sync"]),
    ("engine", &["error"]),
    ("load", &["error", "limits"]),
    ("schedule", &["error", "sync"]), // who runs, not what
    ("error", &["limits"]),           // which limit was broken is a type
    ("limits", &[]),
    ("sync", &[]),
];
