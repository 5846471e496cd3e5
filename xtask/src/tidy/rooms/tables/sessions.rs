//! The rooms of `crates/sessions/src`: who calls and who is called, above one state; below it a session from either end.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    ("nats", &["environment"]),
    // What goes on between hosts.
    ("receiver", &["sessions", "seen", "context", "environment", "serve_call"]),
    ("routing", &["ask", "sessions", "link", "outgoing", "environment", "route"]),
    ("ask", &["sessions", "link", "outgoing", "environment"]),
    // What a host holds of its sessions.
    ("sessions", &["seen", "link", "questions", "outgoing", "serving", "context", "environment", "route"]),
    ("seen", &["context", "environment", "serve_call", "route", "budget"]),
    ("link", &["outgoing", "environment"]),
    ("questions", &["context", "budget"]),
    // One session: made here, served here.
    ("outgoing", &["context", "held", "batch_writer", "environment", "queue"]),
    ("serving", &["context", "held", "gate", "batch_writer", "environment", "serve_call", "queue"]),
    ("context", &["batch_writer", "environment"]),
    ("held", &[]),
    ("gate", &[]),
    ("batch_writer", &["queue"]),
    ("environment", &[]),
    ("serve_call", &[]),
    ("queue", &[]),
    ("route", &[]),
    ("budget", &[]),
];
