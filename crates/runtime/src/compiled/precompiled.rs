//! Files that carry their compiled code along: what `wash compile` writes.
//!
//! ```text
//! magic | length of the wasm, 8 bytes little endian | the wasm as it was | its code, sealed by the machine that made it
//! ```
//!
//! The wasm is all that counts for signatures, digests and claims. The code is a shortcut for the machine whose key
//! sealed it; everybody else compiles the wasm. Invariant: nothing is believed here, only taken apart.

use bytes::Bytes;

use crate::error::LoadError;

/// Cannot be mistaken for wasm, whose first bytes are `\0asm`.
const MAGIC: [u8; 8] = *b"\0cwasm\x01\n";
const HEADER: usize = MAGIC.len() + 8;

/// Whether these bytes are of that form, judged by their beginning.
#[must_use]
pub fn is_precompiled(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The wasm in a precompiled file, byte for byte as it was compiled; any other bytes are returned as they are.
///
/// # Errors
/// [`LoadError::Invalid`] for a precompiled file that is cut short.
pub fn original_wasm(bytes: &Bytes) -> Result<Bytes, LoadError> {
    Ok(split(bytes)?.0)
}

/// The wasm, and the sealed code where there is any.
pub(super) fn split(bytes: &Bytes) -> Result<(Bytes, Option<Bytes>), LoadError> {
    if !is_precompiled(bytes) {
        return Ok((bytes.clone(), None));
    }
    let cut_short = || LoadError::Invalid { reason: "the precompiled file is cut short".to_owned() };
    let len = bytes.get(MAGIC.len()..HEADER).and_then(|len| len.try_into().ok()).ok_or_else(cut_short)?;
    let wasm_end = usize::try_from(u64::from_le_bytes(len)).ok().and_then(|len| HEADER.checked_add(len));
    let wasm_end = wasm_end.filter(|end| *end <= bytes.len()).ok_or_else(cut_short)?;
    Ok((bytes.slice(HEADER..wasm_end), Some(bytes.slice(wasm_end..))))
}

pub(super) fn join(wasm: &[u8], sealed: &[u8]) -> Bytes {
    [&MAGIC, (wasm.len() as u64).to_le_bytes().as_slice(), wasm, sealed].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_come_back_as_they_were() {
        let file = join(b"wasm", b"code");
        assert!(is_precompiled(&file));
        assert_eq!(split(&file), Ok((Bytes::from("wasm"), Some(Bytes::from("code")))));
        assert_eq!(original_wasm(&Bytes::from("\0asm")), Ok(Bytes::from("\0asm")));
    }

    #[test]
    fn a_length_that_is_not_there_is_an_error() {
        let file = join(b"wasm", b"");
        for len in MAGIC.len()..file.len() {
            assert!(matches!(split(&file.slice(..len)), Err(LoadError::Invalid { .. })), "{len} bytes");
        }
        let mut file = file.to_vec();
        file[8..16].fill(0xff);
        assert!(matches!(original_wasm(&file.into()), Err(LoadError::Invalid { .. })));
    }
}
