//! Claims inside a WebAssembly binary.
//!
//! The token is the last section of the binary; the hash it carries covers the *canonical* binary: fixed header,
//! shortest section lengths, claims sections left out, at every nesting depth. Knows sections, not instructions: whether
//! the code is valid is for the runtime. Invariant: what [`verify_actor`] accepts is, outside its claims section and up
//! to sections that carry no code, exactly what was signed.

mod actor;
mod canonical;
mod format;
mod programs;
mod sections;

pub use actor::{ArtifactError, SignedActor, sign_actor, sign_actor_to, verify_actor};
pub use canonical::{canonical_hash, canonical_len, canonicalize};
pub use format::{CLAIMS_SECTION, Layer, MAX_NESTED, MAX_NESTED_TIMES, OLD_CLAIMS_SECTION, WasmError, layer};
pub use programs::{Programs, programs};

use sections::Sections;

use crate::jwt::MAX_TOKEN;

/// The token in the outermost claims section, unchecked. `None`: the binary is unsigned.
///
/// Claims sections of nested modules and components say nothing about the whole and are not looked at.
///
/// # Errors
/// When the binary cannot be walked, or carries more than one claims section or one without text.
pub fn extract(wasm: &[u8]) -> Result<Option<String>, WasmError> {
    let mut token = None;
    for section in Sections::of(wasm)? {
        let Some(payload) = section?.claims()? else { continue };
        if token.is_some() {
            return Err(WasmError::TwoClaims);
        }
        token = Some(std::str::from_utf8(payload).map_err(|_| WasmError::ClaimsNotText)?);
    }
    Ok(token.map(str::to_owned))
}

/// The canonical binary with `token` as its last section; a token it carried before is replaced.
///
/// # Errors
/// When the binary cannot be walked, or the token is larger than any reader accepts.
pub fn embed(wasm: &[u8], token: &str) -> Result<Vec<u8>, WasmError> {
    let start = claims_section_start(token)?;
    let mut signed = Vec::with_capacity(canonical_len(wasm)? + start.len() + token.len());
    let mut append = |bytes: &[u8]| {
        signed.extend_from_slice(bytes);
        Ok::<_, WasmError>(())
    };
    canonical::write_canonical(wasm, &mut append)?;
    append(&start)?;
    append(token.as_bytes())?;
    Ok(signed)
}

/// What precedes the token in its section.
fn claims_section_start(token: &str) -> Result<Vec<u8>, WasmError> {
    if token.len() > MAX_TOKEN {
        return Err(WasmError::TokenTooLarge { found: token.len(), limit: MAX_TOKEN });
    }
    let name = CLAIMS_SECTION.as_bytes();
    let name_length = sections::leb(name.len());
    let length = sections::leb(name_length.len() + name.len() + token.len());
    Ok([&[sections::CUSTOM], length.bytes(), name_length.bytes(), name].concat())
}
