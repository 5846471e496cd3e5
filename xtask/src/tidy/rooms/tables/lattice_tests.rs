//! The rooms of `lattice-tests/src`: the harness, and the benches as one room.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("bin/bench", &["actors", "eventually", "http", "nats", "operator", "ports", "process", "sign"]),
    ("bin/foreign-provider", &[]),
    ("lib", &[ANY]),
    ("agreement", &["eventually", "lattice"]),
    ("fake_time", &[]),
    ("load", &[]),
    ("otlp", &[]),
    ("provider_processes", &[]),
    ("redis", &["eventually", "ports", "process"]),
    ("registry", &["eventually", "http", "ports", "process"]),
    ("http", &["eventually"]),
    ("single", &["eventually", "in_process", "lattice", "operator"]),
    ("lattice", &["binaries", "caller", "eventually", "in_process", "nats", "operator", "process", "relay", "sign"]),
    ("binaries", &[]),
    ("caller", &["calls", "relay", "sign"]),
    ("calls", &["eventually"]),
    ("in_process", &[]),
    ("nats", &["eventually", "ports", "process"]),
    ("operator", &["sign"]),
    ("ports", &[]),
    ("process", &["eventually"]),
    ("eventually", &[]),
    ("relay", &[]),
    ("sign", &["actors"]),
    ("actors", &[]),
    ("small_disk", &[]),
];
