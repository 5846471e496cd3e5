//! Who may depend on whom.
//!
//! Read from the manifests, so that an edge is seen before it is used. Edges to packages outside this repository are
//! not judged here.

use std::collections::{BTreeMap, BTreeSet};

use super::checkout::{Checkout, File};

/// Who may depend on whom. A new edge is a design decision: change this table in a commit of its own.
const ALLOWED: &[(&str, &[&str])] = &[
    ("claims", &[]),
    ("contracts", &[]),
    ("artifacts", &["claims"]), // beside `host`, because `wash` pulls and pushes without one: docs/adr/0003
    ("lattice", &["claims", "contracts"]), // `contracts` for how a call fails and its trace: docs/adr/0001
    ("lattice-state", &["claims", "lattice"]), // the protocol between replicas; NATS comes from `host`: docs/adr/0017
    ("sessions", &["claims", "contracts", "lattice"]), // knows no actors: a host serves its calls through a trait
    ("runtime", &["claims", "contracts"]), // beside `lattice`, not on top of it: they meet only in `host`
    ("telemetry", &["contracts"]),
    ("provider-sdk", &["claims", "contracts", "lattice", "telemetry"]),
    ("actor-sdk", &["contracts"]),
    (
        "host",
        &[
            "artifacts",
            "claims",
            "contracts",
            "lattice",
            "lattice-state",
            "runtime",
            "provider-sdk",
            "sessions",
            "telemetry",
        ],
    ), // embeds providers through the trait
    ("wash-host", &["host", PROVIDERS]), // the binaries choose which providers are compiled in
    // `provider-sdk` because `wash serve` is the host of one provider.
    ("wash-cli", &["artifacts", "claims", "contracts", "lattice", "runtime", "provider-sdk", "host", PROVIDERS]),
    ("fuzz", &["artifacts", "claims", "contracts", "lattice", "runtime"]),
    ("fuzz-libfuzzer", &["fuzz"]), // a workspace of its own, which needs nightly
    ("xtask", &[TEST_NEEDS]),
    (TEST_NEEDS, &[]),
];
/// Stands for every package under `capability-providers/`.
const PROVIDERS: &str = "<providers>";
const OF_A_PROVIDER: &[&str] = &["provider-sdk"];
/// What becomes of a test that cannot run; any package may test with it, and nothing but `xtask` depends on it otherwise.
const TEST_NEEDS: &str = "test-needs";
const OF_AN_ACTOR: &[&str] = &["actor-sdk", "contracts"];
/// May depend on anything; nobody depends on it.
const TESTS: &str = "lattice-tests";

struct Package {
    manifest: String,
    name: String,
    needs: BTreeSet<String>,
}

pub(super) fn complaints(checkout: &Checkout) -> Vec<String> {
    let packages: Vec<Package> = checkout.files.iter().filter_map(package).collect();
    let ours: BTreeMap<&str, &Package> = packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut complaints = Vec::new();
    for package in packages.iter().filter(|package| package.name != TESTS) {
        for needed in package.needs.iter().filter_map(|need| ours.get(need.as_str())) {
            // On itself, with more features, is how a package tests them.
            if needed.name != package.name && !may(package, needed) {
                let (manifest, needed) = (&package.manifest, &needed.name);
                complaints.push(format!("{manifest}: `{}` must not depend on `{needed}`", package.name));
            }
        }
    }
    complaints
}

fn may(package: &Package, needed: &Package) -> bool {
    let allowed = if is_provider(package) {
        OF_A_PROVIDER
    } else if package.manifest.starts_with("actors/") {
        OF_AN_ACTOR
    } else {
        ALLOWED.iter().find(|(name, _)| *name == package.name).map_or(&[][..], |(_, allowed)| allowed)
    };
    needed.name == TEST_NEEDS
        || allowed.contains(&needed.name.as_str())
        || (is_provider(needed) && allowed.contains(&PROVIDERS))
}

fn is_provider(package: &Package) -> bool {
    package.manifest.starts_with("capability-providers/")
}

fn package(file: &File) -> Option<Package> {
    let is_manifest = file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml");
    let manifest: toml::Table = is_manifest.then(|| file.text.parse().ok()).flatten()?;
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    let mut needs = BTreeSet::new();
    collect(&manifest, &mut needs);
    // Platform-specific tables have the same shape one level down.
    for platform in manifest.get("target").and_then(|target| target.as_table()).into_iter().flat_map(|t| t.values()) {
        platform.as_table().into_iter().for_each(|table| collect(table, &mut needs));
    }
    Some(Package { manifest: file.path.clone(), name, needs })
}

fn collect(table: &toml::Table, needs: &mut BTreeSet<String>) {
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (key, value) in table.get(kind).and_then(|value| value.as_table()).into_iter().flatten() {
            let renamed = value.get("package").and_then(|package| package.as_str());
            needs.insert(renamed.unwrap_or(key).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: (&str, &str) = ("crates/runtime/Cargo.toml", "[package]\nname = \"runtime\"");

    fn found(manifests: &[(&str, &str)]) -> Vec<String> {
        complaints(&Checkout::of(manifests))
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_named() {
        let lattice =
            ("crates/lattice/Cargo.toml", "[package]\nname = \"lattice\"\n[dependencies]\nruntime.workspace = true");
        assert_eq!(found(&[lattice, RUNTIME]), ["crates/lattice/Cargo.toml: `lattice` must not depend on `runtime`"]);
    }

    #[test]
    fn an_edge_cannot_hide_behind_a_rename_a_platform_or_tests() {
        let hidden =
            "[package]\nname = \"claims\"\n[target.'cfg(unix)'.dev-dependencies]\nrt = { package = \"runtime\" }";
        assert_eq!(found(&[("crates/claims/Cargo.toml", hidden), RUNTIME]).len(), 1);
    }

    #[test]
    fn binaries_embed_providers_and_the_library_does_not() {
        let provider = ("capability-providers/x/Cargo.toml", "[package]\nname = \"provider-x\"");
        let on_it = |name: &str| format!("[package]\nname = \"{name}\"\n[dependencies]\nprovider-x = \"1\"");
        assert!(found(&[("wash-cli/Cargo.toml", &on_it("wash-cli")), provider]).is_empty());
        assert_eq!(found(&[("host/Cargo.toml", &on_it("host")), provider]).len(), 1);
        assert!(found(&[("lattice-tests/Cargo.toml", &on_it("lattice-tests")), provider]).is_empty());
    }
}
