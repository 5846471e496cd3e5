//! The canonical form of a binary: what is hashed, and what is signed.
//!
//! Invariant: canonicalizing a canonical binary changes nothing.

use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

use super::format::{Layer, WasmError, layer};
use super::sections::{Sections, leb};

/// Real components nest two or three levels; each level costs a walk over its headers and a stack frame.
const MAX_DEPTH: usize = 32;

/// The canonical binary, without claims sections.
///
/// # Errors
/// When the binary cannot be walked.
pub fn canonicalize(wasm: &[u8]) -> Result<Vec<u8>, WasmError> {
    let mut canonical = Vec::with_capacity(canonical_len(wasm)?);
    write_canonical(wasm, &mut |bytes| {
        canonical.extend_from_slice(bytes);
        Ok::<_, WasmError>(())
    })?;
    Ok(canonical)
}

/// Bytes of the canonical binary, without building it. The cheap way to find out whether a binary can be walked at all.
///
/// # Errors
/// When the binary cannot be walked.
pub fn canonical_len(wasm: &[u8]) -> Result<usize, WasmError> {
    measure(wasm, 0, &mut Vec::new())
}

/// Hands the canonical binary to `sink`, piece by piece.
pub(super) fn write_canonical<E: From<WasmError>>(wasm: &[u8], sink: &mut Sink<'_, E>) -> Result<(), E> {
    walk(wasm, Headers::Canonical, sink)
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

/// As [`canonical_hash`], as bytes.
pub(super) fn canonical_digest(wasm: &[u8]) -> Result<[u8; 32], WasmError> {
    digest(wasm, Headers::Canonical)
}

fn hash(wasm: &[u8], headers: Headers) -> Result<String, WasmError> {
    Ok(HEXUPPER.encode(&digest(wasm, headers)?))
}

fn digest(wasm: &[u8], headers: Headers) -> Result<[u8; 32], WasmError> {
    let mut hasher = Sha256::new();
    walk(wasm, headers, &mut |bytes| {
        hasher.update(bytes);
        Ok::<_, WasmError>(())
    })?;
    Ok(hasher.finalize().into())
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

/// Takes pieces of a binary.
pub(super) type Sink<'a, E> = dyn FnMut(&[u8]) -> Result<(), E> + 'a;

fn walk<E: From<WasmError>>(wasm: &[u8], headers: Headers, sink: &mut Sink<'_, E>) -> Result<(), E> {
    let mut nested = Vec::new();
    if layer(wasm)? == Layer::Component {
        measure(wasm, 0, &mut nested)?;
    }
    emit(wasm, headers, &mut nested.into_iter(), sink)
}

/// Hands the canonical bytes to `sink`. What is canonical already goes in one piece, however many sections it has.
/// `nested` has the canonical lengths of what is nested, as [`measure`] found them.
fn emit<E: From<WasmError>>(
    wasm: &[u8],
    headers: Headers,
    nested: &mut std::vec::IntoIter<u32>,
    sink: &mut Sink<'_, E>,
) -> Result<(), E> {
    let sections = Sections::of(wasm)?;
    let mut kept = match headers {
        Headers::Canonical => {
            sink(&sections.layer.header())?;
            8..8
        }
        Headers::AsFound => 0..8,
    };
    for section in sections {
        let section = section?;
        let is_claims = section.claims()?.is_some();
        if !is_claims && !section.is_nested() && section.is_shortest() {
            kept.end = section.end;
            continue;
        }
        sink(&wasm[kept])?;
        kept = section.end..section.end;
        if is_claims {
            continue;
        }
        sink(&[section.id])?;
        if section.is_nested() {
            let length = nested.next().expect("everything nested was measured");
            sink(leb(length as usize).bytes())?;
            emit(section.body, headers, nested, sink)?;
        } else {
            sink(leb(section.body.len()).bytes())?;
            kept.start = section.end - section.body.len();
        }
    }
    sink(&wasm[kept])
}

/// Whether a module or component inside the binary carries claims. They say nothing about the whole.
pub(super) fn has_nested_claims(wasm: &[u8], depth: usize) -> Result<bool, WasmError> {
    for section in descend(wasm, depth)? {
        let section = section?;
        let inside = depth > 0 && section.claims()?.is_some();
        if inside || section.is_nested() && has_nested_claims(section.body, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many bytes [`emit`] will hand over. Notes the same of everything nested, in the order in which it begins: a length
/// stands before its content, and finding it out anew at every level would take the square of the time.
fn measure(wasm: &[u8], depth: usize, nested: &mut Vec<u32>) -> Result<usize, WasmError> {
    let sections = descend(wasm, depth)?;
    let mut total = sections.layer.header().len();
    for section in sections {
        let section = section?;
        if section.claims()?.is_some() {
            continue;
        }
        let mut body = section.body.len();
        if section.is_nested() {
            let place = nested.len();
            nested.push(0);
            body = measure(section.body, depth + 1, nested)?;
            nested[place] = u32::try_from(body).expect("canonical is no longer than found, which 32 bits told");
        }
        total += 1 + leb(body).len() + body;
    }
    Ok(total)
}

pub(super) fn descend(wasm: &[u8], depth: usize) -> Result<Sections<'_>, WasmError> {
    if depth > MAX_DEPTH {
        return Err(WasmError::TooDeep { limit: MAX_DEPTH });
    }
    Sections::of(wasm).map_err(|error| match error {
        WasmError::NotWasm { .. } if depth > 0 => WasmError::NestedNotWasm,
        other => other,
    })
}
