//! From wasm to code that runs: compiled here, or taken from where it was compiled before.
//!
//! Knows engines and bytes, not actors. Invariants: code that is deserialised was made by this machine and is unchanged
//! since; compiling happens on threads of its own, so it never holds up a running actor; what is heavy to compile is compiled
//! by a process that the system bounds, and holds up nobody but itself.

pub(crate) mod cache;
mod code;
pub(crate) mod compiler;
mod key;
pub(crate) mod live_code;
pub mod memory_headroom;
mod pool;
pub mod precompiled;
mod seal;
pub(crate) mod unloaded;
mod weight;
pub mod worker;
mod workers;

use sha2::{Digest as _, Sha256};

/// Where the code of a guest is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeOrigin {
    /// It was compiled just now.
    Compiled,
    /// It had been compiled before: another guest has it, or the code cache.
    Cache,
    /// It came with the artifact, precompiled by this machine.
    Precompiled,
    /// There was code, but not for this machine and version, or damaged; it was compiled anew.
    Recompiled {
        /// What was wrong with it.
        reason: String,
    },
}

/// Whether memories get room to grow without the operating system, where that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Growth {
    /// They do.
    Roomy,
    /// They are just as large as their wasm says; for guests whose limits leave no room.
    Exact,
}

/// SHA-256 of a wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}
