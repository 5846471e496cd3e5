//! What loading a module and loading a component have in common: refusals with a reason.
//!
//! Invariant: everything that can be known before the first call is refused here, not found out by a caller.

use wasmtime::ResourcesRequired;

use crate::{error::LoadError, limits::GuestLimits};

const PAGE_BYTES: u64 = 64 << 10;

pub(crate) fn invalid(error: &wasmtime::Error) -> LoadError {
    LoadError::Invalid { reason: format!("{error:#}") }
}

/// Refuses a guest whose first instance would already break its limits.
pub(crate) fn check_resources(needed: &ResourcesRequired, limits: &GuestLimits) -> Result<(), LoadError> {
    let memory = needed.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES);
    let table = needed.max_initial_table_size.unwrap_or(0);
    let checks = [("bytes of memory", memory, limits.memory_bytes), ("table elements", table, limits.table_elements)];
    for (what, needed, limit) in checks {
        if needed > limit {
            return Err(LoadError::ExceedsLimit { what, needed, limit });
        }
    }
    Ok(())
}

/// Whether the memories of the first instance may come near the limit, so that room to grow would be in the way.
pub(crate) fn is_tight(needed: &ResourcesRequired, limits: &GuestLimits) -> bool {
    let each = needed.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES);
    each.saturating_mul(needed.num_memories.into()) > limits.memory_bytes
}

pub(crate) fn refuse_unknown(names: impl Iterator<Item = String>) -> Result<(), LoadError> {
    let names: Vec<String> = names.collect();
    if names.is_empty() { Ok(()) } else { Err(LoadError::UnknownImports { names }) }
}
