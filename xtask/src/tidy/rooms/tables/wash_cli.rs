//! The rooms of `wash-cli/src`.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("main", &[ANY]),
    ("parse", &["arguments", "cli", "terminal"]), // words become a command; what is wrong with them is a failure
    ("cli", &["commands", "terminal"]),
    ("commands", &["arguments", "artifacts", "context", "keys", "lattice", "machine", "nats_server", "terminal"]),
    ("lattice", &["context", "machine", "nats_server", "terminal"]), // reaches and asks; signs nothing
    ("artifacts", &["arguments", "context", "keys", "machine", "terminal"]), // needs no lattice
    ("nats_server", &["keys", "machine", "terminal"]),               // when it stops is decided by others
    ("keys", &["context", "machine", "terminal"]),
    ("arguments", &["terminal"]),
    ("context", &["machine", "terminal"]), // what every command is given: home and printer
    ("machine", &["terminal"]),
    ("terminal", &[]),
];
