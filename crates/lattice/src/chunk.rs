//! When a payload is too large for a message and travels through the object store instead.
//!
//! Knows the numbers; `subject` names bucket and objects, the client moves the bytes. Invariant: all peers use the same
//! numbers; a payload that one side inlines and the other looks for in the store is lost.

use std::time::Duration;

/// Largest payload that stays in its message, in bytes.
pub const CHUNK_THRESHOLD: u64 = 900 * 1024;

/// What a caller adds to its timeout when request or response may go through the object store.
pub const CHUNK_EXTRA_TIME: Duration = Duration::from_secs(13);

/// Whether a payload of this length goes through the object store: strictly more than [`CHUNK_THRESHOLD`].
#[must_use]
pub const fn is_chunked(length: u64) -> bool {
    length > CHUNK_THRESHOLD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_strictly_above_the_threshold_is_chunked() {
        assert!(!is_chunked(0));
        assert!(!is_chunked(921_600));
        assert!(is_chunked(921_601));
    }
}
