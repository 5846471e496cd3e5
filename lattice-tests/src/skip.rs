//! A test that cannot run because something is missing on this machine: seen by whoever looks, a failure in CI.

use std::io::Write;

/// Says that the current test is skipped, and why.
///
/// # Panics
/// Where `CI` is set: there everything a test needs is there, or the gate has a hole.
pub fn skip(missing: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "`{test}` needs {missing}, which CI must provide");
    // Straight to the file: what `eprintln!` writes is kept from sight when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIP {test}: {missing} is missing (`cargo xtask test` provides it)");
}
