//! Where a provider may keep data.

use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::spec::ProviderSpec;

/// The same directory at every start under this link name on this host.
#[must_use]
pub fn data_dir(state_dir: &Path, spec: &ProviderSpec) -> PathBuf {
    state_dir.join("data").join(spec.id.as_str()).join(path_of(spec.link_name.as_str()))
}

/// A name as a path below a directory: percent-encoded, and in pieces that a file system takes.
fn path_of(name: &str) -> PathBuf {
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    encoded.as_bytes().chunks(120).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_name_leaves_its_directory() {
        assert_eq!(path_of("default"), PathBuf::from("default"));
        assert_eq!(path_of("/a/.."), PathBuf::from("%2Fa%2F%2E%2E"));
        let long = path_of(&"/".repeat(256));
        assert!(long.is_relative() && long.iter().all(|piece| piece.len() <= 120), "{}", long.display());
        assert_ne!(path_of("a/b"), path_of("a-b"));
    }
}
