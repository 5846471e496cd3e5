//! Documents that must move together with code: a new operation, provider or contract has a line where people look.

use super::checkout::{Checkout, File};

pub(super) fn complaints(checkout: &Checkout) -> Vec<String> {
    let operations =
        stems(checkout, "crates/lattice/src/control/").map(|stem| (format!("control/{stem}.rs"), "docs/protocol.md"));
    let providers = folders(checkout, "capability-providers/").map(|name| (name, "docs/providers.md"));
    let mut complaints: Vec<String> = operations
        .chain(providers)
        .filter(|(needle, document)| !checkout.text(document).is_some_and(|text| text.contains(needle.as_str())))
        .map(|(needle, document)| format!("{document}: has no row for `{needle}`"))
        .collect();
    for file in checkout.files.iter().filter(|file| is_contract(file)) {
        let stem = stem(&file.path);
        let document = format!("docs/contracts/{stem}.md");
        if checkout.text(&document).is_none() {
            complaints.push(format!("{document}: missing; `{}` is the contract it describes", file.path));
        }
    }
    complaints
}

/// A file of `contracts` with a contract id of its own.
fn is_contract(file: &File) -> bool {
    file.path.starts_with("crates/contracts/src/") && file.text.contains("pub const CONTRACT: &str")
}

fn stems<'a>(checkout: &'a Checkout, folder: &'a str) -> impl Iterator<Item = &'a str> {
    let files = checkout.sources().filter(move |file| file.path.starts_with(folder));
    files.map(|file| stem(&file.path)).filter(|stem| !matches!(*stem, "mod" | "tests"))
}

fn folders(checkout: &Checkout, folder: &str) -> impl Iterator<Item = String> {
    let manifests =
        checkout.files.iter().filter_map(move |file| file.path.strip_prefix(folder)?.strip_suffix("/Cargo.toml"));
    manifests.map(str::to_owned)
}

fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".rs").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_a_provider_and_a_contract_without_a_document_are_named() {
        let code = [
            ("crates/lattice/src/control/mod.rs", ""),
            ("crates/lattice/src/control/scale_actor.rs", ""),
            ("capability-providers/httpserver/Cargo.toml", ""),
            ("crates/contracts/src/httpserver.rs", "pub const CONTRACT: &str = \"x\";"),
            ("crates/contracts/src/codec.rs", ""),
        ];
        let found = complaints(&Checkout::of(&code));
        assert_eq!(found.len(), 3, "{found:?}");

        let documents = [
            ("docs/protocol.md", "| `scale` | `control/scale_actor.rs` |"),
            ("docs/providers.md", "| `httpserver` |"),
            ("docs/contracts/httpserver.md", "# wasmcloud:httpserver"),
        ];
        let all: Vec<_> = code.into_iter().chain(documents).collect();
        assert!(complaints(&Checkout::of(&all)).is_empty());
    }
}
