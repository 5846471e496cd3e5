//! The rooms of `crates/claims/src`.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    ("archive", &["id", "jwt", "key", "members", "metadata", "revocation", "token", "token_error"]),
    ("capability", &[]),
    ("chain", &["key", "metadata", "token", "token_error"]),
    ("members", &[]),
    ("ownership", &["id", "jwt", "key", "revocation", "token", "token_error"]),
    ("wasm", &["id", "jwt", "key", "metadata", "revocation", "token", "token_error"]),
    ("revocation", &["id", "jwt", "key", "token", "token_error"]),
    ("id", &["key"]),
    ("token", &["human_time", "jwt", "key", "metadata", "token_error"]),
    ("human_time", &[]),
    ("jwt", &["key", "token_error"]),
    ("metadata", &["key"]),
    ("token_error", &["key"]),
    ("key", &[]),
];
