//! Where instances of a guest may be, as whoever links it must know.

use std::sync::Arc;

use super::waiting::AllIdle;
use crate::engine::Wasi;

/// Where instances of a guest may be.
pub(crate) struct Places {
    pub(crate) max_instances: u32,
    pub(crate) idle: Arc<AllIdle>,
    pub(crate) wasi: Wasi,
}
