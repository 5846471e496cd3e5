//! Code that nobody has in memory, and that can be loaded again whatever becomes of the code cache.

use super::{cache::SealedFile, live_code::Key};

/// An open file with code. What the cache evicts meanwhile stays in it.
pub(crate) struct Unloaded {
    pub(super) key: Key,
    pub(super) file: SealedFile,
}
