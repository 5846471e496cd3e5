//! The rooms of `crates/contracts/src`: one per contract, above what contracts share.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    ("blobstore", &[]),
    ("httpclient", &["budget", "call", "codec", "http_message", "httpserver"]),
    ("http_message", &["budget", "call", "codec", "httpserver", "trace"]),
    ("budget", &["call"]),
    ("keyvalue", &["call", "codec"]),
    ("codec", &["call"]),
    ("httpserver", &["link_values"]),
    ("mask", &["link_values"]),
    ("link_values", &[]),
    ("messaging", &[]),
    ("text", &["call"]),
    ("trace", &["call"]),
    ("call", &[]),
];
