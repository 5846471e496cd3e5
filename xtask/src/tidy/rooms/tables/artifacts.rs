//! The rooms of `crates/artifacts/src`.

use super::{ANY, Room};

pub(super) const ROOMS: &[Room] = &[
    ("lib", &[ANY]),
    (
        "store",
        &["budget", "cache", "content", "digest", "format", "image", "manifest", "progress", "reference", "registry"],
    ),
    ("budget", &[]),
    ("registry", &["cache", "content", "credentials", "digest", "manifest", "pace", "progress", "reference", "text"]),
    ("cache", &["digest", "pace"]),
    ("content", &["digest", "format", "image", "manifest"]),
    ("credentials", &["json_fault", "local_file", "reference", "text"]),
    ("format", &[]),
    ("image", &["digest", "json_fault", "text"]),
    ("local_file", &[]),
    ("manifest", &["digest", "json_fault", "text"]),
    ("json_fault", &[]),
    ("pace", &[]),
    ("progress", &[]),
    ("reference", &["digest", "text"]),
    ("digest", &["text"]),
    ("text", &[]),
];
