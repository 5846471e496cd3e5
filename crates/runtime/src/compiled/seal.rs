//! What stands behind compiled code in a file: what it is for, and proof that this machine made it.
//!
//! ```text
//! code | magic | digest of the wasm | fingerprint of the compiler | length of the code | HMAC-SHA256 of all before
//! ```
//!
//! Behind and not before, so that the file can be mapped as it is. Invariant: [`check`] says yes only to bytes that
//! [`trailer`] was made for, with the same key.

use std::{
    hash::{Hash, Hasher},
    io::{self, Read},
};

use hmac::Mac;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::{Digest, Growth, key::MachineKey};

const MAGIC: [u8; 8] = *b"wasmcod1";
const HEADER: usize = 8 + 32 + 32 + 8;
pub(super) const TRAILER: usize = HEADER + 32;

/// What must be the same for code to run here: engine settings, wasmtime, processor, our version, kind of wasm, and
/// whether it has room to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 32]);

impl Fingerprint {
    pub(super) fn new(engine: &Engine, kind: &'static str, growth: Growth) -> Self {
        struct Feed(Sha256);
        impl Hasher for Feed {
            fn finish(&self) -> u64 {
                0 // The digest is the result, this is never asked for.
            }
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }
        }
        let mut feed = Feed(Sha256::new());
        (kind, growth, env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS).hash(&mut feed);
        // Of wasmtime's own version as well.
        engine.precompile_compatibility_hash().hash(&mut feed);
        Self(feed.0.finalize().into())
    }
}

/// Which code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodeId {
    pub(super) wasm: Digest,
    pub(super) fingerprint: Fingerprint,
}

impl CodeId {
    /// A name for a file.
    pub(super) fn name(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("{}-{}.code", hex(&self.wasm.0), hex(&self.fingerprint.0[..8]))
    }

    fn header(&self, len: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..40].copy_from_slice(&self.wasm.0);
        header[40..72].copy_from_slice(&self.fingerprint.0);
        header[72..].copy_from_slice(&len.to_le_bytes());
        header
    }
}

/// Why sealed code is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("it is cut short or no compiled code")]
    Format,
    #[error("it is of another wasm")]
    Wasm,
    #[error("it was made by another version, for another engine or another processor")]
    Compiler,
    #[error("it was not made on this machine, or changed since")]
    Seal,
}

/// What is written behind `code`.
pub(super) fn trailer(key: &MachineKey, id: &CodeId, code: &[u8]) -> [u8; TRAILER] {
    let header = id.header(code.len() as u64);
    let mac = key.mac().chain_update(code).chain_update(header).finalize().into_bytes();
    let mut trailer = [0; TRAILER];
    trailer[..HEADER].copy_from_slice(&header);
    trailer[HEADER..].copy_from_slice(&mac);
    trailer
}

/// Reads all of `sealed`, which is `len` bytes long, and checks that it is the code asked for, made here.
pub(super) fn check(key: &MachineKey, id: &CodeId, mut sealed: impl Read, len: u64) -> io::Result<Result<(), Broken>> {
    let Some(code_len) = len.checked_sub(TRAILER as u64) else { return Ok(Err(Broken::Format)) };
    let mut mac = key.mac();
    let mut chunk = vec![0; 64 << 10];
    let mut left = code_len;
    while left > 0 {
        let part = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        sealed.read_exact(&mut chunk[..part])?;
        mac.update(&chunk[..part]);
        left -= part as u64;
    }
    let mut trailer = [0; TRAILER];
    sealed.read_exact(&mut trailer)?;
    let (header, seal) = trailer.split_at(HEADER);
    let expected = id.header(code_len);
    if header[..8] != MAGIC || header[72..] != expected[72..] {
        return Ok(Err(Broken::Format));
    }
    if header[8..40] != expected[8..40] {
        return Ok(Err(Broken::Wasm));
    }
    if header[40..72] != expected[40..72] {
        return Ok(Err(Broken::Compiler));
    }
    Ok(mac.chain_update(header).verify_slice(seal).map_err(|_| Broken::Seal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_tells_engines_kinds_and_ways_of_growing_apart() {
        let plain = Engine::default();
        let interrupted = Engine::new(wasmtime::Config::new().epoch_interruption(true)).expect("an engine");
        let module = Fingerprint::new(&plain, "module", Growth::Roomy);
        assert_eq!(module, Fingerprint::new(&Engine::default(), "module", Growth::Roomy));
        assert_ne!(module, Fingerprint::new(&plain, "component", Growth::Roomy));
        assert_ne!(module, Fingerprint::new(&plain, "module", Growth::Exact));
        assert_ne!(module, Fingerprint::new(&interrupted, "module", Growth::Roomy));
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let key = MachineKey::open(directory.path()).expect("a key");
        let id = CodeId { wasm: Digest([1; 32]), fingerprint: Fingerprint([2; 32]) };
        let mut sealed = b"machine code".to_vec();
        let trailer = trailer(&key, &id, &sealed);
        sealed.extend(trailer);
        let check = |bytes: &[u8], id: &CodeId| check(&key, id, bytes, bytes.len() as u64).expect("in memory");
        assert_eq!(check(&sealed, &id), Ok(()));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(check(&changed, &id).is_err(), "byte {index}");
        }
        for len in 0..sealed.len() {
            assert!(check(&sealed[..len], &id).is_err(), "{len} bytes");
        }
        assert_eq!(check(&sealed, &CodeId { wasm: Digest([9; 32]), ..id }), Err(Broken::Wasm));
        assert_eq!(check(&sealed, &CodeId { fingerprint: Fingerprint([9; 32]), ..id }), Err(Broken::Compiler));
    }
}
