//! Rules about the text of single files.

use super::checkout::{Checkout, File};
use crate::workspace;

/// Source files that do not open with a module comment.
pub(super) fn without_opening(checkout: &Checkout) -> Vec<String> {
    let mute = checkout.sources().filter(|file| !file.text.starts_with("//!"));
    mute.map(|file| format!("{}: must open with `//!`: what it owns, what it refuses to know", file.path)).collect()
}

/// Subjects spelled where they are neither rendered nor parsed. Tests may spell what they expect on the wire.
pub(super) fn with_subjects(checkout: &Checkout) -> Vec<String> {
    let needle = concat!("\"wasm", "bus.");
    let product = checkout.sources().filter(|file| !file.path.starts_with("crates/lattice/") && !is_test(&file.path));
    product.flat_map(|file| lines_with(file, before_tests(&file.text), &[needle])).collect()
}

/// Files that only work on one machine, or that pin where packages come from.
pub(super) fn with_machine_paths(checkout: &Checkout) -> Vec<String> {
    let here = format!("{}/", workspace::root().display());
    let needles = [
        here.as_str(),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("index", ".cra", "tes.io"),
        concat!("static", ".cra", "tes.io"),
        concat!("python", "hosted"),
        concat!("npm", "js."),
    ];
    let ours = checkout.files.iter().filter(|file| !file.path.ends_with("Cargo.lock"));
    ours.flat_map(|file| lines_with(file, &file.text, &needles)).collect()
}

fn lines_with(file: &File, text: &str, needles: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    let hits = lines.filter(|(_, line)| needles.iter().any(|needle| line.contains(needle)));
    hits.map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim())).collect()
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "lattice-tests" | "benches"))
}

fn before_tests(text: &str) -> &str {
    text.find("#[cfg(test)]").map_or(text, |at| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_opening_is_named() {
        let checkout = Checkout::of(&[("a.rs", "//! Owns a."), ("b.rs", "use x;"), ("c.md", "text")]);
        let found = without_opening(&checkout);
        assert!(found.len() == 1 && found[0].starts_with("b.rs:"), "{found:?}");
    }

    #[test]
    fn a_subject_outside_its_crate_is_named_with_its_line() {
        let subject = concat!("let a = 1;\nlet s = \"wasm", "bus.rpc\";");
        let in_tests = format!("#[cfg(test)]\n{subject}");
        let checkout = Checkout::of(&[
            ("host/src/rpc.rs", subject),
            ("crates/lattice/src/subject.rs", subject),
            ("lattice-tests/tests/a.rs", subject),
            ("host/src/a.rs", &in_tests),
        ]);
        let found = with_subjects(&checkout);
        assert!(found.len() == 1 && found[0].starts_with("host/src/rpc.rs:2:"), "{found:?}");
    }

    #[test]
    fn the_path_of_the_checkout_and_a_home_directory_are_named() {
        let here = format!("see {}/x", workspace::root().display());
        let home = concat!("/ho", "me/somebody/x");
        let checkout = Checkout::of(&[("a.md", &here), ("b.sh", home), ("c.md", "~/.wash and /tmp/x")]);
        assert_eq!(with_machine_paths(&checkout).len(), 2);
    }
}
