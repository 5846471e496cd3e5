//! The library that makes a process believe in another time (Debian package `faketime`).

use std::{fs, path::PathBuf};

use test_needs::skip;

/// The library to preload; none where it is not installed, which is then said.
///
/// # Panics
/// When it is missing where `CI` is set.
#[must_use]
pub fn fake_time_library() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = places.map(|dir| dir.join("faketime/libfaketimeMT.so.1")).find(|file| file.is_file());
    if found.is_none() {
        skip("libfaketime");
    }
    found
}
