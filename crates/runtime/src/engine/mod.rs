//! The engine: how wasmtime is configured, and what happens where the preferred configuration does not fit.
//!
//! Three plans are tried in order: a pool with address space for 4 GiB per memory (no bounds checks in guest code), a
//! compact pool with exactly the address space the limits need, and allocation on demand with next to no reservation.
//! Each is cut to the memory and the address space there are. Components of WASI 0.3 have an engine of their own, a
//! quarter as large, because what they need of it costs every call of the others. Knows nothing of actors. Invariant:
//! every plan enforces epochs and, for one line of WASI, has the same wasm features.

pub(crate) mod config;
pub(crate) mod machine;
pub(crate) mod proposals;
pub(crate) mod wasi_version;

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use self::{config::RuntimeConfig, machine::Machine};
use crate::error::RuntimeError;

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Bytes of linear memory which a free slot of a pool keeps.
    pub keep_resident: usize,
    /// Whether memory is reset with `PAGEMAP_SCAN`.
    pub pagemap_scan: bool,
}

/// The lines of WASI that need different engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wasi {
    /// Modules and components of WASI 0.2.
    P2,
    /// Components of WASI 0.3.
    P3,
}

const GIB: u64 = 1 << 30;

/// What one instance is reckoned to use. It may be far less and far more; this is for machines that are full with few.
const INSTANCE: u64 = 2 << 20;

/// However small the machine.
const FEWEST_INSTANCES: u64 = 16;

pub(crate) fn build(config: &RuntimeConfig, wasi: Wasi) -> Result<(Engine, Reservation), RuntimeError> {
    match wasi {
        Wasi::P2 => build_for(config, wasi, Machine::here()),
        Wasi::P3 => build_for(&quarter(config), wasi, Machine::here().quarter()),
    }
}

/// Instances below which there are no quarters: one alone may consist of more core instances than its share has room for.
const INDIVISIBLE: u32 = 4;

/// What the second engine gets of what was configured.
fn quarter(config: &RuntimeConfig) -> RuntimeConfig {
    RuntimeConfig {
        max_instances: config.max_instances.div_ceil(4).max(config.max_instances.min(INDIVISIBLE)),
        warm_slots: config.warm_slots.div_ceil(4),
        ..config.clone()
    }
}

fn build_for(config: &RuntimeConfig, wasi: Wasi, machine: Machine) -> Result<(Engine, Reservation), RuntimeError> {
    let mut reasons = Vec::new();
    for allocation in [Allocation::Pool, Allocation::CompactPool, Allocation::OnDemand] {
        let reservation = reservation(config, allocation, machine);
        let made = match too_large(config, reservation, machine) {
            Some(reason) => Err(reason),
            None => Engine::new(&engine_config(config, wasi, reservation)).map_err(|error| format!("{error:#}")),
        };
        match made {
            Ok(engine) => {
                report(config, wasi, reservation, machine, &reasons);
                return Ok((engine, reservation));
            }
            Err(reason) => reasons.push(format!("{allocation:?}: {reason}")),
        }
    }
    Err(RuntimeError::Engine { reason: reasons.join("; ") })
}

fn reservation(config: &RuntimeConfig, allocation: Allocation, machine: Machine) -> Reservation {
    let memory_bytes = match allocation {
        Allocation::Pool => (4 * GIB).max(config.memory_bytes),
        Allocation::CompactPool => config.memory_bytes,
        Allocation::OnDemand => 0,
    };
    let pagemap_scan = allocation != Allocation::OnDemand && PoolingAllocationConfig::is_pagemap_scan_available();
    let max_instances = max_instances(config, machine);
    // Slots may keep half of the memory, if all of them were ever in use at once.
    let share = usize::try_from(machine.memory / 2 / u64::from(max_instances)).unwrap_or(usize::MAX);
    let keep_resident = if allocation == Allocation::OnDemand { 0 } else { share.min(config.memory_keep_resident) };
    Reservation { allocation, max_instances, memory_bytes, keep_resident, pagemap_scan }
}

/// As many as were asked for, if the machine is not so small that they would not fit anyway.
fn max_instances(config: &RuntimeConfig, machine: Machine) -> u32 {
    let by_memory = machine.memory / INSTANCE;
    let by_address_space = machine.address_space.map(|bytes| bytes / 2 / (INSTANCE + config.stack_bytes as u64));
    let most = by_memory.min(by_address_space.unwrap_or(u64::MAX)).max(FEWEST_INSTANCES);
    config.max_instances.clamp(1, u32::try_from(most).unwrap_or(u32::MAX))
}

/// Why a pool is not even tried: it would leave too little address space for anything else.
fn too_large(config: &RuntimeConfig, reservation: Reservation, machine: Machine) -> Option<String> {
    let limit = machine.address_space.filter(|_| reservation.allocation != Allocation::OnDemand)?;
    let slot = reservation.memory_bytes.saturating_add(config.stack_bytes as u64);
    let needed = slot.saturating_mul(u64::from(reservation.max_instances));
    (needed > limit / 2).then(|| format!("{} MiB of address space, of {} MiB", needed >> 20, limit >> 20))
}

fn report(config: &RuntimeConfig, wasi: Wasi, reservation: Reservation, machine: Machine, reasons: &[String]) {
    let Reservation { allocation, max_instances, memory_bytes, keep_resident, pagemap_scan } = reservation;
    let memory_mib = machine.memory >> 20;
    // Internals of the engine: for whoever looks for them, not for whoever starts a host.
    tracing::debug!(
        ?wasi,
        ?allocation,
        max_instances,
        address_space_each = memory_bytes,
        keep_resident,
        pagemap_scan,
        memory_mib,
        "engine ready"
    );
    if max_instances < config.max_instances {
        tracing::info!(
            wanted = config.max_instances,
            max_instances,
            "fewer instances than configured: there is little memory or address space"
        );
    }
    if !reasons.is_empty() {
        let reasons = reasons.join("; ");
        tracing::warn!(?allocation, reasons, "engine fell back: the preferred reservation does not fit here");
    }
}

/// What of an engine its code depends on; another one with the same, in whatever process, makes code that this one runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeSettings {
    wasi: Wasi,
    allocation: Allocation,
    /// Address space for one linear memory in bytes.
    memory_bytes: u64,
    stack_bytes: usize,
    guest_stack_bytes: usize,
}

impl CodeSettings {
    pub(crate) fn new(config: &RuntimeConfig, wasi: Wasi, reservation: Reservation) -> Self {
        let Reservation { allocation, memory_bytes, .. } = reservation;
        let (stack_bytes, guest_stack_bytes) = (config.stack_bytes, config.guest_stack_bytes);
        Self { wasi, allocation, memory_bytes, stack_bytes, guest_stack_bytes }
    }

    /// Those of the preferred plan.
    #[cfg(test)]
    pub(crate) fn of(config: &RuntimeConfig, wasi: Wasi) -> Self {
        Self::new(config, wasi, reservation(config, Allocation::Pool, Machine::here()))
    }

    /// An engine that makes such code and reserves nothing to run it.
    pub(crate) fn engine(self) -> wasmtime::Result<Engine> {
        Engine::new(&code_config(self))
    }
}

fn engine_config(config: &RuntimeConfig, wasi: Wasi, reservation: Reservation) -> Config {
    let mut engine = code_config(CodeSettings::new(config, wasi, reservation));
    if reservation.allocation != Allocation::OnDemand {
        engine.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config, reservation)));
    }
    engine
}

fn code_config(settings: CodeSettings) -> Config {
    let CodeSettings { wasi, allocation, memory_bytes, stack_bytes, guest_stack_bytes } = settings;
    let mut engine = Config::new();
    engine
        .epoch_interruption(true)
        .memory_init_cow(true)
        .parallel_compilation(true)
        .native_unwind_info(false)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(guest_stack_bytes)
        .async_stack_size(stack_bytes.max(2 * guest_stack_bytes))
        // Guests are one call each: nothing of the component model's own concurrency, which costs every store, unless
        // the guest is made of it.
        .concurrency_support(wasi == Wasi::P3)
        .wasm_memory64(false)
        .wasm_multi_memory(false);
    if wasi == Wasi::P3 {
        engine.wasm_component_model_async(true);
    }
    match allocation {
        Allocation::Pool => engine.memory_reservation(memory_bytes),
        Allocation::CompactPool => engine.memory_reservation(memory_bytes).memory_guard_size(64 << 10),
        Allocation::OnDemand => engine
            .memory_reservation(0)
            .memory_reservation_for_growth(1 << 20)
            .memory_guard_size(64 << 10)
            .guard_before_linear_memory(false),
    };
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
        .linear_memory_keep_resident(reservation.keep_resident)
        .table_keep_resident(config.table_keep_resident)
        .async_stack_keep_resident(config.stack_keep_resident)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: Machine = Machine { memory: 64 * GIB, address_space: None };

    fn reserved(config: &RuntimeConfig, machine: Machine) -> Reservation {
        build_for(config, Wasi::P2, machine).expect("some plan fits").1
    }

    #[test]
    fn the_second_engine_is_a_quarter_of_the_first_and_fits_beside_it() {
        let config = RuntimeConfig::default();
        let second =
            |machine: Machine| build_for(&quarter(&config), Wasi::P3, machine.quarter()).expect("some plan fits").1;
        let reservation = second(ROOMY);
        assert_eq!((reservation.allocation, reservation.max_instances), (Allocation::Pool, 250));
        let small = second(Machine { memory: 512 << 20, ..ROOMY });
        assert_eq!((small.max_instances, small.keep_resident), (64, 1 << 20));
        let narrow = second(Machine { address_space: Some(256 << 20), ..ROOMY });
        assert_eq!((narrow.allocation, narrow.max_instances), (Allocation::OnDemand, FEWEST_INSTANCES as u32));
        let few = |max_instances| quarter(&RuntimeConfig { max_instances, ..RuntimeConfig::default() }).max_instances;
        assert_eq!([1, 4, 8, 64].map(few), [1, 4, 4, 16]);
    }

    /// In a process of its own: while it uses up all mappings that a process may have, nobody else in it gets one.
    #[test]
    fn what_no_address_space_can_hold_falls_back_and_says_what_was_reserved() {
        let test = std::env::current_exe().expect("this program");
        let name = "engine::tests::more_than_address_space_can_hold";
        let output = std::process::Command::new(test).args(["--exact", name, "--ignored"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn more_than_address_space_can_hold() {
        // 4 GiB each overflows 47 bits, 16 MiB each does not.
        let config =
            RuntimeConfig { max_instances: 100_000, memory_bytes: 16 << 20, table_elements: 10, ..Default::default() };
        let machine = Machine { memory: 1 << 50, ..ROOMY };
        let reservation = reserved(&config, machine);
        assert_ne!(reservation.allocation, Allocation::Pool);
        assert_eq!(reservation.max_instances, 100_000);
    }

    #[test]
    fn the_default_is_a_pool_without_bounds_checks() {
        let config = RuntimeConfig::default();
        let reservation = reserved(&config, ROOMY);
        assert_eq!(reservation.allocation, Allocation::Pool);
        assert_eq!(reservation.memory_bytes, 4 * GIB);
        assert_eq!((reservation.max_instances, reservation.keep_resident), (1000, config.memory_keep_resident));
    }

    #[test]
    fn a_machine_of_512_mib_gets_fewer_instances_that_keep_less() {
        let reservation = reserved(&RuntimeConfig::default(), Machine { memory: 512 << 20, ..ROOMY });
        assert_eq!(reservation.allocation, Allocation::Pool, "address space costs nothing");
        assert_eq!(reservation.max_instances, 256);
        assert_eq!(reservation.keep_resident, 1 << 20);
        let tiny = reserved(&RuntimeConfig::default(), Machine { memory: 8 << 20, ..ROOMY });
        assert_eq!(u64::from(tiny.max_instances), FEWEST_INSTANCES);
    }

    #[test]
    fn in_little_address_space_pools_are_not_even_tried() {
        let machine = Machine { address_space: Some(256 << 20), ..ROOMY };
        let config = RuntimeConfig::default();
        let reservation = reserved(&config, machine);
        assert_eq!((reservation.allocation, reservation.max_instances), (Allocation::OnDemand, 32));
        let refused = too_large(&config, super::reservation(&config, Allocation::Pool, machine), machine);
        assert!(refused.is_some_and(|reason| reason.ends_with("of 256 MiB")));
        // What fits is taken: two small memories in a gigabyte.
        let config = RuntimeConfig { max_instances: 2, memory_bytes: 16 << 20, ..config };
        let reservation = reserved(&config, Machine { address_space: Some(GIB), ..ROOMY });
        assert_eq!(reservation.allocation, Allocation::CompactPool);
    }
}
