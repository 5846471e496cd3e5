//! Artifact references as the user types them: a file of this machine, or a reference that a host understands.
//!
//! Paths are whatever the system takes, references to hosts and registries are text.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::terminal::failure::{Failure, Result};

/// What a path begins with that can be nothing else.
const STARTS_OF_PATHS: [&[u8]; 4] = [b"./", b"../", b"/", b"~"];
/// What files of ours end with.
const EXTENSIONS: [&str; 4] = ["wasm", "cwasm", "par", "gz"];

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
pub fn place(given: &OsStr) -> Result<Place> {
    if let Some(path) = given.as_bytes().strip_prefix(b"file://") {
        return Ok(Place::File(PathBuf::from(OsStr::from_bytes(path))));
    }
    if let Some((scheme, text)) = scheme(given) {
        return match scheme.to_lowercase().as_str() {
            "oci" | "http" | "https" => Ok(Place::Registry(text.to_owned())),
            "builtin" => Err(Failure::usage(format!("`{text}` is part of every host, and in no file or registry"))
                .hint("see what runs with `wash get inventory`")),
            _ => Err(Failure::usage(format!("`{text}` is neither a file nor a reference to a registry"))),
        };
    }
    match (file(given)?, given.to_str()) {
        (None, Some(text)) => Ok(Place::Registry(text.to_owned())),
        (found, _) => Ok(Place::File(found.unwrap_or(Path::new(given)).to_owned())),
    }
}

/// Turns the path of a file into an absolute `file://` reference; everything else stays as it is.
///
/// # Errors
/// What was typed can only be meant as a path, and there is no such file, or hosts cannot be told its name.
pub fn parse(given: &OsStr) -> Result<String> {
    if let Some((_, text)) = scheme(given) {
        return Ok(text.to_owned());
    }
    let found = file(given).map_err(|failure| {
        failure.or_hint("to name a file of the host's machine, write it as `file:///absolute/path`")
    })?;
    match (found, given.to_str()) {
        (None, Some(text)) => Ok(text.to_owned()),
        (found, _) => file_reference(found.unwrap_or(Path::new(given))),
    }
}

/// References travel as JSON, which is text.
fn file_reference(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path)?;
    let text = absolute.to_str().ok_or_else(|| {
        Failure::usage(format!("hosts cannot be told of `{}`: its path is not UTF-8 text", absolute.display()))
            .hint("give the file, and every directory above it, a name in UTF-8, or copy it to such a place")
    })?;
    Ok(format!("file://{text}"))
}

/// The scheme of what is written as `scheme://…`, and all of it.
fn scheme(given: &OsStr) -> Option<(&str, &str)> {
    let text = given.to_str()?;
    text.split_once("://").map(|(scheme, _)| (scheme, text))
}

/// The file that was meant, if one was.
fn file(given: &OsStr) -> Result<Option<&Path>> {
    let (path, shown) = (Path::new(given), given.display());
    if path.is_dir() {
        return Err(Failure::usage(format!("`{shown}` is a directory")).hint("name the file in it"));
    }
    // A pipe or a device as well: whoever reads it says whether that will do.
    if path.exists() {
        return Ok(Some(path));
    }
    if is_only_a_path(given) {
        return Err(Failure::new(format!("no file `{shown}`")));
    }
    Ok(None)
}

/// Whether it cannot be meant as a reference.
fn is_only_a_path(given: &OsStr) -> bool {
    let ends = |extension: &OsStr| EXTENSIONS.iter().any(|known| extension == *known);
    given.to_str().is_none()
        || STARTS_OF_PATHS.iter().any(|start| given.as_bytes().starts_with(start))
        || Path::new(given).extension().is_some_and(ends)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(text: &str) -> Result<String> {
        super::parse(OsStr::new(text))
    }

    fn place(text: &str) -> Result<Place> {
        super::place(OsStr::new(text))
    }

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

    #[test]
    fn a_path_need_not_be_text_but_a_reference_must() {
        let name = tempfile::tempdir().unwrap().keep().join(OsStr::from_bytes(b"p\xe9.wasm"));
        assert!(super::place(name.as_os_str()).unwrap_err().to_string().starts_with("no file `"));
        std::fs::write(&name, "").unwrap();
        assert_eq!(super::place(name.as_os_str()).unwrap(), Place::File(name.clone()));
        let mut with_scheme = std::ffi::OsString::from("file://");
        with_scheme.push(&name);
        assert_eq!(super::place(&with_scheme).unwrap(), Place::File(name.clone()));
        let failure = super::parse(name.as_os_str()).unwrap_err();
        assert!(failure.message().contains("not UTF-8 text"), "{failure}");
        std::fs::remove_dir_all(name.parent().unwrap()).unwrap();
    }
}
