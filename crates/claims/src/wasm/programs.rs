//! What a binary *is*, whatever it is wrapped in: the identities under which a revocation by digest knows it again.
//!
//! The canonical hash does not depend on who signed it, in which section the claims stand, or how lengths are written.
//! A component also is what is nested in it. Knows nothing of lists. Invariant: the work is bounded by
//! [`MAX_NESTED_TIMES`] passes over the binary.

use super::canonical::{canonical_digest, descend};
use super::format::{MAX_NESTED, MAX_NESTED_TIMES, WasmError};
use crate::revocation::Sha256;

/// The canonical hashes of a binary and of what is nested in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Of the whole.
    pub whole: Sha256,
    /// Of the modules and components in it, in the order in which they begin.
    pub nested: Vec<Sha256>,
}

impl Programs {
    /// All of them, the whole first.
    pub fn all(self) -> Vec<Sha256> {
        let mut all = self.nested;
        all.insert(0, self.whole);
        all
    }
}

/// Takes a binary apart.
///
/// # Errors
/// When it cannot be walked, or nests too much.
pub fn programs(wasm: &[u8]) -> Result<Programs, WasmError> {
    let mut left = Left { binaries: MAX_NESTED, bytes: wasm.len().saturating_mul(MAX_NESTED_TIMES) };
    let mut nested = Vec::new();
    collect(wasm, 0, &mut left, &mut nested)?;
    Ok(Programs { whole: Sha256(canonical_digest(wasm)?), nested })
}

/// What may still be looked at.
struct Left {
    binaries: usize,
    bytes: usize,
}

impl Left {
    fn take(&mut self, bytes: usize) -> Result<(), WasmError> {
        self.binaries = self.binaries.checked_sub(1).ok_or(WasmError::NestsTooMuch)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(WasmError::NestsTooMuch)?;
        Ok(())
    }
}

fn collect(wasm: &[u8], depth: usize, left: &mut Left, nested: &mut Vec<Sha256>) -> Result<(), WasmError> {
    for section in descend(wasm, depth)? {
        let section = section?;
        if !section.is_nested() {
            continue;
        }
        left.take(section.body.len())?;
        nested.push(Sha256(canonical_digest(section.body)?));
        collect(section.body, depth + 1, left, nested)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::Layer;
    use crate::wasm::sections::leb;

    const MODULE: [u8; 8] = Layer::Module.header();

    /// A component with these binaries in it; `padded`: lengths take five bytes.
    fn component(inner: &[(u8, &[u8])], padded: bool) -> Vec<u8> {
        let mut bytes = Layer::Component.header().to_vec();
        for (id, body) in inner {
            bytes.push(*id);
            match padded {
                false => bytes.extend_from_slice(leb(body.len()).bytes()),
                true => bytes
                    .extend((0..5).map(|at| ((body.len() >> (7 * at)) & 0x7f) as u8 | if at < 4 { 0x80 } else { 0 })),
            }
            bytes.extend_from_slice(body);
        }
        bytes
    }

    #[test]
    fn lengths_claims_and_depth_make_no_other_program() {
        let module = [&MODULE[..], b"\x00\x02\x01x"].concat();
        let padded = [&MODULE[..], b"\x00\x82\x80\x80\x80\x00\x01x"].concat();
        let known = programs(&module).expect("walked").whole;
        assert_eq!(programs(&padded).expect("walked").whole, known);
        let with_claims = crate::wasm::embed(&module, "a.b.c").expect("embedded");
        assert_eq!(programs(&with_claims).expect("walked").whole, known);
        let once = component(&[(1, &padded), (1, &MODULE)], false);
        let twice = component(&[(4, &once)], true);
        for wrapped in [&once, &twice] {
            let found = programs(wrapped).expect("walked");
            assert!(found.nested.contains(&known) && found.whole != known, "{found:?}");
        }
        assert_eq!(programs(&twice).expect("walked").nested[0], programs(&once).expect("walked").whole);
        assert_eq!(programs(&twice).expect("walked").all().len(), 4);
    }

    #[test]
    fn what_nests_too_much_is_refused_before_it_is_hashed() {
        let many: Vec<(u8, &[u8])> = vec![(1, &MODULE); MAX_NESTED];
        assert_eq!(programs(&component(&many, false)).expect("at the bound").nested.len(), MAX_NESTED);
        let more: Vec<(u8, &[u8])> = vec![(1, &MODULE); MAX_NESTED + 1];
        assert_eq!(programs(&component(&more, false)), Err(WasmError::NestsTooMuch));
        let mut deep = [&MODULE[..], &[0, 0x80, 0x08, 1, b'x'], &[0; 1022]].concat();
        for _ in 0..MAX_NESTED_TIMES {
            deep = component(&[(4 - 3 * u8::from(deep[6] == 0), &deep)], false);
        }
        programs(&deep).expect("at the bound");
        assert_eq!(programs(&component(&[(4, &deep)], false)), Err(WasmError::NestsTooMuch));
    }
}
