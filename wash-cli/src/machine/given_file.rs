//! Files the user names: read up to a bound, told apart by their content, and named for what they are.
//!
//! Pipes are read too (`<(…)`, `/dev/stdin`); devices are not.

use std::path::Path;

use artifacts::{FileError, Format, check_one_wasm, read_given};
use bytes::Bytes;
use runtime::precompiled;

use crate::terminal::failure::{Failure, OrFail, Result};

/// Largest artifact, bytes; hosts have the same bound.
pub const MAX_ARTIFACT: u64 = 256 << 20;
/// Largest file of settings, a schema or a configuration, bytes.
pub const MAX_TEXT: u64 = 4 << 20;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// It cannot be read, is no file, or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_given(path, limit).map_err(|error| {
        // The system's own words say what to do.
        let hint = (!matches!(error, FileError::Unreadable { .. })).then(|| error.next_step());
        let failure = Failure::from(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// Reads settings, a configuration or an argument.
///
/// # Errors
/// As [`read`], or it is no text.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = read(path, MAX_TEXT)?;
    String::from_utf8(bytes).map_err(|_| Failure::new(format!("`{}` is not UTF-8 text", path.display())))
}

/// Reads an artifact.
///
/// # Errors
/// As [`read`].
pub fn read_artifact(path: &Path) -> Result<Vec<u8>> {
    read(path, MAX_ARTIFACT)
}

/// The WebAssembly in `bytes`, which `shown` names: as it is, or taken out of what `wash compile` made of it.
///
/// # Errors
/// They are something else, or more than one file.
pub fn wasm(shown: &str, bytes: &Bytes) -> Result<Bytes> {
    let found = Format::of(bytes);
    if !found.is_wasm() {
        let failure = Failure::new(format!("`{shown}` is {found}, not WebAssembly"));
        return Err(match instead(found) {
            Some(hint) => failure.hint(hint),
            None => failure,
        });
    }
    let doing = || format!("cannot read `{shown}`");
    let wasm = precompiled::original_wasm(bytes).while_doing(doing)?;
    check_one_wasm(&wasm).while_doing(|| format!("`{shown}` is not one WebAssembly file"))?;
    Ok(wasm)
}

/// What to do with a file that is no WebAssembly.
fn instead(found: Format) -> Option<&'static str> {
    match found {
        Format::Wat => Some("make it binary first: `wat2wasm`, or `wasm-tools parse`"),
        Format::BareCode => Some("name the `.wasm` file it was compiled from, or compile that with `wash compile`"),
        found if found.may_be_archive() => Some("provider archives are shown by `wash inspect` and run by hosts"),
        found if found.may_be_program() => Some("programs for an operating system are run by it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_wasm_is_named() {
        let told =
            |bytes: &'static [u8]| wasm("x", &Bytes::from_static(bytes)).expect_err("refused").message().to_owned();
        assert_eq!(told(b"# Title\n"), "`x` is a text file, not WebAssembly");
        assert_eq!(told(b"\x1F\x8B\x08"), "`x` is a gzipped file, not WebAssembly");
        assert_eq!(
            told(b"\x7FELF\x02\x01\x01\xC8"),
            "`x` is compiled code without the WebAssembly it was made from, not WebAssembly"
        );
        assert!(told(b"\0asm\x01\0\0\0\0asm\x01\0\0\0").contains("not one WebAssembly file"));
        assert!(wasm("x", &Bytes::from_static(b"\0asm\x01\0\0\0")).is_ok());
    }
}
