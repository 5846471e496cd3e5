//! The engine: how wasmtime is configured, and what happens where the preferred configuration does not fit.
//!
//! Three plans are tried in order: a pool with address space for 4 GiB per memory (no bounds checks in guest code), a
//! compact pool with exactly the address space the limits need, and allocation on demand with next to no reservation.
//! Knows nothing of actors. Invariant: every plan enforces epochs and has the same wasm features.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::{RuntimeConfig, RuntimeError};

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Pooled slots, 4 GiB of address space for each memory.
    Pool,
    /// Pooled slots, address space only for the largest memory allowed.
    CompactPool,
    /// Mapped for each call. Slower; for machines or ulimits with little address space.
    OnDemand,
}

/// What the engine reserved at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// How instances get their memory.
    pub allocation: Allocation,
    /// Instances that may be alive at once.
    pub max_instances: u32,
    /// Address space for one linear memory in bytes.
    pub memory_bytes: u64,
    /// Whether memory is reset with `PAGEMAP_SCAN`.
    pub pagemap_scan: bool,
}

const GIB: u64 = 1 << 30;

pub(crate) fn build(config: &RuntimeConfig) -> Result<(Engine, Reservation), RuntimeError> {
    let mut reasons = Vec::new();
    for allocation in [Allocation::Pool, Allocation::CompactPool, Allocation::OnDemand] {
        let reservation = reservation(config, allocation);
        match Engine::new(&engine_config(config, reservation)) {
            Ok(engine) => {
                report(reservation, &reasons);
                return Ok((engine, reservation));
            }
            Err(error) => reasons.push(format!("{allocation:?}: {error:#}")),
        }
    }
    Err(RuntimeError::Engine { reason: reasons.join("; ") })
}

fn reservation(config: &RuntimeConfig, allocation: Allocation) -> Reservation {
    let memory_bytes = match allocation {
        Allocation::Pool => (4 * GIB).max(config.memory_bytes),
        Allocation::CompactPool => config.memory_bytes,
        Allocation::OnDemand => 0,
    };
    let pagemap_scan = allocation != Allocation::OnDemand && PoolingAllocationConfig::is_pagemap_scan_available();
    Reservation { allocation, max_instances: config.max_instances.max(1), memory_bytes, pagemap_scan }
}

fn report(reservation: Reservation, reasons: &[String]) {
    let Reservation { allocation, max_instances, memory_bytes, pagemap_scan } = reservation;
    if reasons.is_empty() {
        tracing::debug!(?allocation, max_instances, memory_bytes, pagemap_scan, "engine ready");
    } else {
        tracing::warn!(
            ?allocation,
            max_instances,
            memory_bytes,
            reasons = reasons.join("; "),
            "engine fell back: the preferred reservation does not fit here"
        );
    }
}

fn engine_config(config: &RuntimeConfig, reservation: Reservation) -> Config {
    let mut engine = Config::new();
    engine
        .epoch_interruption(true)
        .memory_init_cow(true)
        .parallel_compilation(true)
        .native_unwind_info(false)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(config.guest_stack_bytes)
        .async_stack_size(config.stack_bytes.max(2 * config.guest_stack_bytes))
        // Guests are one call each: nothing of the component model's own concurrency, which costs every store.
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false);
    match reservation.allocation {
        Allocation::Pool => engine.memory_reservation(reservation.memory_bytes),
        Allocation::CompactPool => engine.memory_reservation(reservation.memory_bytes).memory_guard_size(64 << 10),
        Allocation::OnDemand => engine
            .memory_reservation(0)
            .memory_reservation_for_growth(1 << 20)
            .memory_guard_size(64 << 10)
            .guard_before_linear_memory(false),
    };
    if reservation.allocation != Allocation::OnDemand {
        engine.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config, reservation)));
    }
    engine
}

fn pool(config: &RuntimeConfig, reservation: Reservation) -> PoolingAllocationConfig {
    let instances = reservation.max_instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // A component is several core instances (its own, adapters, shims) and tables, but nearly always one memory.
        .total_core_instances(instances.saturating_mul(8))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(3))
        .total_stacks(instances)
        .max_memory_size(usize::try_from(config.memory_bytes).unwrap_or(usize::MAX))
        .table_elements(config.table_elements as usize)
        .max_tables_per_module(4)
        .max_unused_warm_slots(config.warm_slots)
        .linear_memory_keep_resident(config.memory_keep_resident)
        .table_keep_resident(config.table_keep_resident)
        .async_stack_keep_resident(config.stack_keep_resident)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_address_space_can_hold_falls_back_and_says_what_was_reserved() {
        // 4 GiB each overflows 47 bits, 16 MiB each does not.
        let config =
            RuntimeConfig { max_instances: 100_000, memory_bytes: 16 << 20, table_elements: 10, ..Default::default() };
        let (_engine, reservation) = build(&config).expect("some plan fits");
        assert_ne!(reservation.allocation, Allocation::Pool);
        assert_eq!(reservation.max_instances, 100_000);
    }

    #[test]
    fn the_default_is_a_pool_without_bounds_checks() {
        let (_engine, reservation) = build(&RuntimeConfig::default()).expect("fits");
        assert_eq!(reservation.allocation, Allocation::Pool);
        assert_eq!(reservation.memory_bytes, 4 * GIB);
    }
}
