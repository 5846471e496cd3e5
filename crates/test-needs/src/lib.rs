//! A test that cannot run because something is missing on this machine: counted and named, and a failure in CI.
//!
//! A test's own output is kept from sight when it passes, so a skip is said elsewhere: in the file that [`LIST`] names, of which
//! `cargo xtask test` makes its closing lines, and straight on standard error. For tests only; knows nothing of what they need.

use std::{env, fs::OpenOptions, io::Write, path::Path};

/// Environment variable with the file that skips are added to, a line each.
pub const LIST: &str = "LATTICE_TESTS_SKIPPED";

/// One skip, as it stands in the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skip {
    /// What was not there.
    pub missing: String,
    /// The test that did not run.
    pub test: String,
}

impl Skip {
    /// Reads a line of the list; none when it is no such line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (test, missing) = line.split_once('\t')?;
        Some(Self { missing: missing.to_owned(), test: test.to_owned() })
    }

    fn line(&self) -> String {
        let plain = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        format!("{}\t{}\n", plain(&self.test), plain(&self.missing))
    }
}

/// Says that the current test does not run for want of `missing`; the test then returns.
///
/// # Panics
/// Where `CI` is set: there everything a test needs is there, or the gate has a hole. Also when the list cannot be written,
/// because then nobody would hear of the skip.
pub fn skip(missing: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(!is_ci(), "`{test}` needs {missing}, which CI must provide");
    let skip = Skip { missing: missing.to_owned(), test };
    match env::var_os(LIST) {
        Some(list) => add(Path::new(&list), &skip),
        // Straight to the file: what `eprintln!` writes is kept from sight when a test passes.
        None => drop(writeln!(std::io::stderr(), "SKIP {}: {missing} is missing", skip.test)),
    }
}

/// Whether what is missing is a failure.
#[must_use]
pub fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|ci| !ci.is_empty())
}

/// One write of a short line to a file opened to append: lines of several processes do not mix.
fn add(list: &Path, skip: &Skip) {
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(list)
        .and_then(|mut list| list.write_all(skip.line().as_bytes()));
    written.unwrap_or_else(|error| panic!("cannot add to the list of skipped tests `{}`: {error}", list.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_read_as_it_was_added() {
        let dir = tempfile::tempdir().expect("a directory");
        let list = dir.path().join("skipped");
        let skips = ["a::b", "c\td"].map(|test| Skip { missing: "a redis-server".to_owned(), test: test.to_owned() });
        skips.iter().for_each(|skip| add(&list, skip));
        let text = std::fs::read_to_string(&list).expect("the list");
        let read: Vec<Skip> = text.lines().filter_map(Skip::parse).collect();
        assert_eq!(read.iter().map(|skip| skip.test.as_str()).collect::<Vec<_>>(), ["a::b", "c d"]);
        assert_eq!(read[0], skips[0]);
        assert_eq!(Skip::parse("no line of ours"), None);
    }
}
