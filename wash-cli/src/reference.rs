//! Artifact references as the user types them: a file of this machine, or a reference that a host understands.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Where something is that this machine is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file of this machine.
    File(PathBuf),
    /// In a registry, under this reference.
    Registry(String),
}

/// Where this machine finds what was typed. A file wins over a reference that reads the same.
///
/// # Errors
/// What was typed can only be meant as a path, and there is no such file; or it is nothing that can be read.
pub fn place(given: &str) -> Result<Place> {
    if let Some(path) = given.strip_prefix("file://") {
        return Ok(Place::File(PathBuf::from(path)));
    }
    if let Some((scheme, _)) = given.split_once("://") {
        return match scheme.to_lowercase().as_str() {
            "oci" | "http" | "https" => Ok(Place::Registry(given.to_owned())),
            "builtin" => Err(Failure::usage(format!("`{given}` is part of every host, and in no file or registry"))
                .hint("see what runs with `wash get inventory`")),
            _ => Err(Failure::usage(format!("`{given}` is neither a file nor a reference to a registry"))),
        };
    }
    match file(given)? {
        Some(path) => Ok(Place::File(path.to_owned())),
        None => Ok(Place::Registry(given.to_owned())),
    }
}

/// Turns the path of a file into an absolute `file://` reference; everything else stays as it is.
///
/// # Errors
/// What was typed can only be meant as a path, and there is no such file.
pub fn parse(given: &str) -> Result<String> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    let found = file(given).map_err(|failure| {
        failure.or_hint("to name a file of the host's machine, write it as `file:///absolute/path`")
    })?;
    let Some(path) = found else { return Ok(given.to_owned()) };
    let absolute = std::path::absolute(path)?;
    let text = absolute.to_str().ok_or_else(|| Failure::usage(format!("the path `{given}` is not UTF-8 text")))?;
    Ok(format!("file://{text}"))
}

/// The file that was meant, if one was.
fn file(given: &str) -> Result<Option<&Path>> {
    let path = Path::new(given);
    if path.is_dir() {
        return Err(Failure::usage(format!("`{given}` is a directory")).hint("name the file in it"));
    }
    // A pipe or a device as well: whoever reads it says whether that will do.
    if path.exists() {
        return Ok(Some(path));
    }
    let only_a_path = ["./", "../", "/", "~"].iter().any(|start| given.starts_with(start))
        || path
            .extension()
            .is_some_and(|extension| ["wasm", "cwasm", "par", "gz"].iter().any(|known| extension == *known));
    if only_a_path {
        return Err(Failure::new(format!("no file `{given}`")));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn files_become_absolute_references() {
        let file = tempfile::Builder::new().suffix("_s.wasm").tempfile().unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(parse(path).unwrap(), format!("file://{path}"));
    }

    #[test]
    fn other_references_are_left_to_the_host() {
        for reference in
            ["file:///nowhere/a.wasm", "builtin://httpserver", "ghcr.io/acme/echo:1.0", "localhost:5000/a:1"]
        {
            assert_eq!(parse(reference).unwrap(), reference);
        }
    }

    #[test]
    fn a_path_to_nothing_is_an_error_before_any_host_is_asked() {
        for path in ["./absent.wasm", "absent_s.wasm", "/nowhere/absent", "/"] {
            parse(path).unwrap_err();
        }
    }

    #[test]
    fn what_this_machine_reads_is_a_file_or_in_a_registry() {
        let file = tempfile::Builder::new().suffix("_s.wasm").tempfile().unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(place(path).unwrap(), Place::File(file.path().to_owned()));
        assert_eq!(place(&format!("file://{path}")).unwrap(), Place::File(file.path().to_owned()));
        for reference in ["ghcr.io/acme/echo:1.0", "oci://localhost:5000/a:1", "https://ghcr.io/a:1"] {
            assert_eq!(place(reference).unwrap(), Place::Registry(reference.to_owned()));
        }
        for neither in ["builtin://httpserver", "ftp://ghcr.io/a:1", "./absent", "absent.par.gz"] {
            place(neither).unwrap_err();
        }
    }
}
