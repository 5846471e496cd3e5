//! The canonical form of a binary: what is hashed, and what is signed.
//!
//! Invariant: canonicalizing a canonical binary changes nothing.

use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

use super::WasmError;
use super::sections::{Section, Sections, leb};

/// Real components nest two or three levels; each level costs a walk over its headers and a stack frame.
const MAX_DEPTH: usize = 32;

/// The canonical binary, without claims sections.
///
/// # Errors
/// When the binary cannot be walked.
pub fn canonicalize(wasm: &[u8]) -> Result<Vec<u8>, WasmError> {
    let mut canonical = Vec::with_capacity(wasm.len());
    emit(wasm, 0, Headers::Canonical, &mut |bytes| canonical.extend_from_slice(bytes))?;
    Ok(canonical)
}

/// Upper-case hex SHA-256 of the canonical binary, without building it.
///
/// # Errors
/// When the binary cannot be walked.
pub fn canonical_hash(wasm: &[u8]) -> Result<String, WasmError> {
    hash(wasm, Headers::Canonical)
}

/// As [`canonical_hash`] for a binary which signing made canonical, but not blind to a header changed afterwards.
pub(super) fn signed_hash(wasm: &[u8]) -> Result<String, WasmError> {
    hash(wasm, Headers::AsFound)
}

fn hash(wasm: &[u8], headers: Headers) -> Result<String, WasmError> {
    let mut hasher = Sha256::new();
    emit(wasm, 0, headers, &mut |bytes| hasher.update(bytes))?;
    Ok(HEXUPPER.encode(&hasher.finalize()))
}

/// Upper-case hex SHA-256 of the binary as it is, only without its outermost claims sections.
///
/// This is what signers of revisions 0 to 2 hashed.
pub(super) fn raw_cut_hash(wasm: &[u8]) -> Result<String, WasmError> {
    let mut hasher = Sha256::new();
    hasher.update(&wasm[..8]);
    for section in Sections::of(wasm)? {
        let section = section?;
        if section.claims()?.is_none() {
            hasher.update(&wasm[section.start..section.end]);
        }
    }
    Ok(HEXUPPER.encode(&hasher.finalize()))
}

/// What to do with the version fields of the binary and of those nested in it.
#[derive(Clone, Copy)]
enum Headers {
    Canonical,
    AsFound,
}

/// Hands the canonical bytes to `sink`, piece by piece.
fn emit(wasm: &[u8], depth: usize, headers: Headers, sink: &mut dyn FnMut(&[u8])) -> Result<(), WasmError> {
    let sections = descend(wasm, depth)?;
    match headers {
        Headers::Canonical => sink(&sections.layer.header()),
        Headers::AsFound => sink(&wasm[..8]),
    }
    for section in sections {
        let section = section?;
        if section.claims()?.is_some() {
            continue;
        }
        sink(&[section.id]);
        sink(leb(body_length(&section, depth)?).bytes());
        if section.is_nested() {
            emit(section.body, depth + 1, headers, sink)?;
        } else {
            sink(section.body);
        }
    }
    Ok(())
}

/// How many bytes [`emit`] will hand over. Walks headers only, so doing it once per level is cheap.
fn length(wasm: &[u8], depth: usize) -> Result<usize, WasmError> {
    let sections = descend(wasm, depth)?;
    let mut total = sections.layer.header().len();
    for section in sections {
        let section = section?;
        if section.claims()?.is_none() {
            let body = body_length(&section, depth)?;
            total += 1 + leb(body).len() + body;
        }
    }
    Ok(total)
}

fn body_length(section: &Section<'_>, depth: usize) -> Result<usize, WasmError> {
    if section.is_nested() { length(section.body, depth + 1) } else { Ok(section.body.len()) }
}

fn descend(wasm: &[u8], depth: usize) -> Result<Sections<'_>, WasmError> {
    if depth > MAX_DEPTH {
        return Err(WasmError::TooDeep { limit: MAX_DEPTH });
    }
    Sections::of(wasm).map_err(|error| match error {
        WasmError::NotWasm { .. } if depth > 0 => WasmError::NestedNotWasm,
        other => other,
    })
}
