//! The raw baseline of a local call: wasmtime and nothing else.
//!
//! The same module twice, linked beforehand, in a pool tuned like the runtime's; a fresh instance for each call, and a
//! host function that instantiates and calls the second from within the first. No limits, no epochs, no deadlines, no
//! admission, no checks beyond what Rust itself insists on. Knows just enough of waPC for the echo actor.

use std::sync::Arc;

use ::runtime::RuntimeConfig;
use anyhow::{Context, Result};
use bytes::Bytes;
use wasmtime::{
    Caller, Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Memory, Module, ModuleExport,
    OptLevel, PoolingAllocationConfig, Store,
};

/// How guests are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On the stack of the thread: the least there is, but a guest that waits holds the thread.
    Blocking,
    /// On a pooled stack of its own, as everything must that lets guests wait.
    Async,
}

/// A linked module, and whom it calls.
pub struct Bare {
    engine: Engine,
    pre: InstancePre<Call>,
    memory: ModuleExport,
    guest_call: ModuleExport,
    callee: Option<Arc<Bare>>,
}

/// State of one call.
struct Call {
    bare: Arc<Bare>,
    memory: Option<Memory>,
    operation: Bytes,
    payload: Bytes,
    response: Bytes,
    host_response: Bytes,
}

impl Bare {
    /// A module that calls nobody.
    pub fn alone(wasm: &[u8], mode: Mode, config: &RuntimeConfig) -> Result<Arc<Self>> {
        Self::load(&engine(config)?, wasm, mode, None)
    }

    /// A caller and the callee behind it.
    pub fn pair(wasm: &[u8], mode: Mode) -> Result<Arc<Self>> {
        let engine = engine(&RuntimeConfig::default())?;
        let callee = Self::load(&engine, wasm, mode, None)?;
        Self::load(&engine, wasm, mode, Some(callee))
    }

    fn load(engine: &Engine, wasm: &[u8], mode: Mode, callee: Option<Arc<Self>>) -> Result<Arc<Self>> {
        let module = Module::from_binary(engine, wasm)?;
        let mut linker = Linker::new(engine);
        add_to_linker(&mut linker, mode)?;
        linker.define_unknown_imports_as_traps(&module)?;
        let export = |name| module.get_export_index(name).with_context(|| format!("the module exports no `{name}`"));
        Ok(Arc::new(Self {
            engine: engine.clone(),
            pre: linker.instantiate_pre(&module)?,
            memory: export("memory")?,
            guest_call: export("__guest_call")?,
            callee,
        }))
    }

    fn store(self: &Arc<Self>, operation: Bytes, payload: Bytes) -> Store<Call> {
        let bare = self.clone();
        let (response, host_response) = (Bytes::new(), Bytes::new());
        Store::new(&self.engine, Call { bare, memory: None, operation, payload, response, host_response })
    }

    /// A call in a fresh instance.
    pub fn call(self: &Arc<Self>, operation: Bytes, payload: Bytes) -> wasmtime::Result<Bytes> {
        let lengths = (operation.len() as u32, payload.len() as u32);
        let mut store = self.store(operation, payload);
        let instance = self.pre.instantiate(&mut store)?;
        let function = self.prepare(&mut store, &instance)?;
        function.call(&mut store, lengths)?;
        Ok(std::mem::take(&mut store.data_mut().response))
    }

    /// A fresh instance, made and dropped.
    pub async fn instantiate(self: &Arc<Self>) -> Result<()> {
        let mut store = self.store(Bytes::new(), Bytes::new());
        self.pre.instantiate_async(&mut store).await?;
        Ok(())
    }

    /// A call in a fresh instance on a stack of its own.
    pub async fn call_async(self: &Arc<Self>, operation: Bytes, payload: Bytes) -> wasmtime::Result<Bytes> {
        let lengths = (operation.len() as u32, payload.len() as u32);
        let mut store = self.store(operation, payload);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let function = self.prepare(&mut store, &instance)?;
        function.call_async(&mut store, lengths).await?;
        Ok(std::mem::take(&mut store.data_mut().response))
    }

    fn prepare(
        &self,
        store: &mut Store<Call>,
        instance: &wasmtime::Instance,
    ) -> wasmtime::Result<wasmtime::TypedFunc<(u32, u32), u32>> {
        let memory = instance.get_module_export(&mut *store, &self.memory).and_then(wasmtime::Extern::into_memory);
        store.data_mut().memory = memory;
        let function = instance.get_module_export(&mut *store, &self.guest_call).and_then(wasmtime::Extern::into_func);
        function.ok_or_else(|| wasmtime::Error::msg("`__guest_call` is no function"))?.typed(&*store)
    }
}

/// What the runtime has, without its epochs.
pub fn engine(config: &RuntimeConfig) -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(config.max_instances)
        .total_memories(config.max_instances)
        .total_tables(config.max_instances)
        .total_stacks(config.max_instances)
        .max_memory_size(usize::try_from(config.memory_bytes)?)
        .table_elements(config.table_elements as usize)
        .max_unused_warm_slots(config.warm_slots)
        .linear_memory_keep_resident(config.memory_keep_resident)
        .table_keep_resident(config.table_keep_resident)
        .async_stack_keep_resident(config.stack_keep_resident)
        .pagemap_scan(Enabled::Auto);
    let mut engine = Config::new();
    engine
        .cranelift_opt_level(OptLevel::Speed)
        .native_unwind_info(false)
        .max_wasm_stack(config.guest_stack_bytes)
        .async_stack_size(config.stack_bytes)
        .concurrency_support(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&engine)?)
}

type Guest<'a> = Caller<'a, Call>;
type HostCall = (u32, u32, u32, u32, u32, u32, u32, u32);

fn add_to_linker(linker: &mut Linker<Call>, mode: Mode) -> wasmtime::Result<()> {
    const WAPC: &str = "wasmbus";
    linker.func_wrap(WAPC, "__guest_request", |mut guest: Guest<'_>, operation: u32, payload: u32| {
        let call = guest.data_mut();
        let (name, argument) = (std::mem::take(&mut call.operation), std::mem::take(&mut call.payload));
        write(&mut guest, operation, &name);
        write(&mut guest, payload, &argument);
    })?;
    linker.func_wrap(WAPC, "__guest_response", |mut guest: Guest<'_>, at: u32, len: u32| {
        guest.data_mut().response = read(&mut guest, at, len);
    })?;
    linker.func_wrap(WAPC, "__host_response_len", |guest: Guest<'_>| guest.data().host_response.len() as u32)?;
    linker.func_wrap(WAPC, "__host_response", |mut guest: Guest<'_>, at: u32| {
        let response = std::mem::take(&mut guest.data_mut().host_response);
        write(&mut guest, at, &response);
    })?;
    match mode {
        Mode::Blocking => linker.func_wrap(
            WAPC,
            "__host_call",
            |mut guest: Guest<'_>, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32| {
                let (callee, operation, payload) = host_call(&mut guest, (a, b, c, d, e, f, g, h))?;
                guest.data_mut().host_response = callee.call(operation, payload)?;
                wasmtime::Result::Ok(1_u32)
            },
        )?,
        Mode::Async => linker.func_wrap_async(WAPC, "__host_call", |mut guest: Guest<'_>, arguments: HostCall| {
            Box::new(async move {
                let (callee, operation, payload) = host_call(&mut guest, arguments)?;
                guest.data_mut().host_response = callee.call_async(operation, payload).await?;
                wasmtime::Result::Ok(1_u32)
            })
        })?,
    };
    Ok(())
}

/// Whom, and what; the names are not looked at.
fn host_call(guest: &mut Guest<'_>, arguments: HostCall) -> wasmtime::Result<(Arc<Bare>, Bytes, Bytes)> {
    let (_, _, _, _, operation, operation_len, payload, len) = arguments;
    let callee = guest.data().bare.callee.clone().ok_or_else(|| wasmtime::Error::msg("the callee calls nobody"))?;
    Ok((callee, read(guest, operation, operation_len), read(guest, payload, len)))
}

fn read(guest: &mut Guest<'_>, at: u32, len: u32) -> Bytes {
    let memory = guest.data().memory.expect("calls come after instantiation");
    Bytes::copy_from_slice(&memory.data(&*guest)[at as usize..][..len as usize])
}

fn write(guest: &mut Guest<'_>, at: u32, bytes: &[u8]) {
    let memory = guest.data().memory.expect("calls come after instantiation");
    memory.data_mut(guest)[at as usize..][..bytes.len()].copy_from_slice(bytes);
}
