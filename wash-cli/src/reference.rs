//! Artifact references as the user types them: a file of this machine, or a reference that a host understands.

use std::path::Path;

use crate::failure::{Failure, Result};

/// Turns the path of a file into an absolute `file://` reference; everything else stays as it is.
///
/// # Errors
/// What was typed can only be meant as a path, and there is no such file.
pub fn parse(given: &str) -> Result<String> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    let path = Path::new(given);
    if path.is_file() {
        let absolute = std::path::absolute(path)?;
        let text = absolute.to_str().ok_or_else(|| Failure::usage(format!("the path `{given}` is not UTF-8 text")))?;
        return Ok(format!("file://{text}"));
    }
    if path.is_dir() {
        return Err(Failure::usage(format!("`{given}` is a directory")).hint("name the file in it"));
    }
    let only_a_path = ["./", "../", "/", "~"].iter().any(|start| given.starts_with(start))
        || path.extension().is_some_and(|extension| extension == "wasm" || extension == "par");
    if only_a_path {
        return Err(Failure::new(format!("no file `{given}`"))
            .hint("to name a file of the host's machine, write it as `file:///absolute/path`"));
    }
    Ok(given.to_owned())
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
}
