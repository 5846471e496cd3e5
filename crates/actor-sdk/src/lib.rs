//! What an actor in the form of a module needs: the calling convention, and memory for the time of a call.
//!
//! ```ignore
//! actor_sdk::module!(handle);
//!
//! /// Answers one call; the error text goes to the caller verbatim.
//! fn handle(operation: &str, payload: Vec<u8>) -> Result<Vec<u8>, String> {
//!     match operation {
//!         "Echo.Echo" => Ok(payload),
//!         _ => Err(format!("unknown operation `{operation}`")),
//!     }
//! }
//! ```
//!
//! Knows no contract: operations and their payloads are in `contracts`. Components need none of this; they have WIT.

#[expect(unsafe_code, reason = "an allocator hands out raw memory; every unsafe block is in this file")]
mod arena;
#[cfg(any(target_family = "wasm", doc))]
#[expect(unsafe_code, reason = "the imports are raw; every unsafe block is in this file")]
pub mod wapc;

pub use arena::Arena;

/// Makes a function the entry point of the module: `fn(&str, Vec<u8>) -> Result<Vec<u8>, String>`, which takes an
/// operation and its argument. Once in a module.
#[macro_export]
macro_rules! module {
    ($handle:path) => {
        // SAFETY: the name is exported once in a module, and hosts call it with this signature only.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn __guest_call(operation_length: usize, payload_length: usize) -> i32 {
            $crate::wapc::answer(operation_length, payload_length, $handle)
        }
    };
}
