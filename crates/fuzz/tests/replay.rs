//! Every seed of every target runs with the ordinary tests, and nothing about the targets is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Names in a folder, without their endings.
fn stems(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(crate_path(folder)).expect("the folder is part of the crate");
    entries
        .map(|entry| entry.expect("readable").path())
        .map(|path| path.file_stem().and_then(|stem| stem.to_str()).expect("plain names").to_owned())
        .collect()
}

fn targets() -> BTreeSet<String> {
    TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

#[test]
fn every_seed_of_every_target_passes() {
    for (name, target) in TARGETS {
        let folder = crate_path("seeds").join(name);
        let mut replayed = 0;
        for entry in fs::read_dir(&folder).unwrap_or_else(|_| panic!("`{name}` has no seeds")) {
            let path = entry.expect("readable").path();
            println!("{}", path.display());
            target(&fs::read(&path).expect("readable"));
            replayed += 1;
        }
        assert!(replayed >= 2, "`{name}` has {replayed} seeds: one that is accepted and one that is not are the least");
        // What every fuzzer tries first.
        target(&[]);
        target(&[0; 4096]);
        target(&[0xFF; 600]);
    }
}

#[test]
fn seeds_and_binaries_belong_to_targets() {
    assert_eq!(stems("seeds"), targets(), "folders under `seeds`");
    assert_eq!(stems("libfuzzer/targets"), targets(), "files under `libfuzzer/targets`");
    let manifest = fs::read_to_string(crate_path("libfuzzer/Cargo.toml")).expect("the libFuzzer workspace is there");
    for name in targets() {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "`libfuzzer/Cargo.toml` has no bin `{name}`");
        let file = fs::read_to_string(crate_path(&format!("libfuzzer/targets/{name}.rs"))).expect("readable");
        assert!(file.contains(&format!("fuzz::{name}(data)")), "`libfuzzer/targets/{name}.rs` runs another target");
    }
}
