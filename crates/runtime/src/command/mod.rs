//! Command programs: one run from start to exit code, with the standard streams of this process.
//!
//! For tools like `wash run`, not for actors: a program has no identity, no claims and no way to a lattice. What it may
//! have of this machine is in [`LocalGrants`]. Invariant: a program gets the clock, random numbers, its arguments and
//! the three standard streams; everything else is granted by name, or denied, or does not exist.

mod component;
mod end;
mod module;
mod p3;
mod run;
mod streams;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::{WasiCtxBuilder, p2::bindings::CommandPre, p3::bindings};

pub use end::CommandError;

use crate::{
    actor::local_grants::LocalGrants,
    call::HasCall,
    compiled::{CodeOrigin, Growth, precompiled},
    component::state::ComponentState,
    engine::Wasi,
    error::{LoadError, ended::Breach},
    guest::{linked::GuestKind, platform::Platform},
    limits::GuestLimits,
    module::state::ModuleState,
    runtime::Runtime,
};
use end::Ended;
use run::store;
use streams::Stream;

/// Core instances that a component may consist of. What tools for languages make has about a dozen.
const CORE_INSTANCES: u32 = 64;

/// How a program is run.
#[derive(Debug, Clone, Default)]
pub struct CommandOptions {
    /// Its arguments; the first is the name it goes by.
    pub args: Vec<String>,
    /// What it may have of this machine.
    pub grants: LocalGrants,
    /// Linear memory in bytes; none for as much as the runtime gives to anybody.
    pub memory_bytes: Option<u64>,
    /// Longest run; none for as long as it takes.
    pub time: Option<Duration>,
}

/// A program that is compiled and linked.
pub struct Command {
    runtime: Arc<Platform>,
    program: Program,
    code: CodeOrigin,
}

enum Program {
    Module(InstancePre<ModuleState>),
    Component(CommandPre<ComponentState>),
    /// A component of WASI 0.3.
    Newer(bindings::CommandPre<ComponentState>),
}

impl Command {
    /// Module or component.
    #[must_use]
    pub fn kind(&self) -> GuestKind {
        match &self.program {
            Program::Module(_) => GuestKind::Module,
            Program::Component(_) | Program::Newer(_) => GuestKind::Component,
        }
    }

    /// Where its code comes from.
    #[must_use]
    pub fn code(&self) -> &CodeOrigin {
        &self.code
    }

    /// Runs the program in the current task, with the standard streams of this process, and returns its exit code.
    /// Dropping the future ends the program.
    ///
    /// # Errors
    /// [`CommandError`]: a trap, a limit, a grant that cannot be given.
    pub async fn run(&self, options: &CommandOptions) -> Result<i32, CommandError> {
        let mut wasi = WasiCtxBuilder::new();
        // Without a time limit nobody else waits for this thread, and files are much faster on it.
        wasi.inherit_stdin().stdout(Stream::Output).stderr(Stream::Error);
        wasi.args(&options.args).allow_blocking_current_thread(options.time.is_none());
        options.grants.apply(&mut wasi)?;
        let limits = self.limits(options);
        let _ticking = self.tick()?;
        let engine = &self.runtime.engine;
        match &self.program {
            Program::Module(pre) => {
                let mut store = store(engine, ModuleState::of_program(limits, &mut wasi), options.time);
                let ended = within(options.time, module::run(pre, &mut store)).await;
                ended.map_or_else(|error| failed(error, store, options), |()| Ok(0))
            }
            Program::Component(pre) => {
                let mut store = store(engine, ComponentState::of_program(limits, &mut wasi), options.time);
                let ended = within(options.time, component::run(pre, &mut store)).await;
                ended.map_or_else(|error| failed(error, store, options), |well| Ok(i32::from(!well)))
            }
            Program::Newer(pre) => {
                let mut store = store(engine, ComponentState::of_program(limits, &mut wasi), options.time);
                let ended = within(options.time, p3::run(pre, &mut store)).await;
                ended.map_or_else(|error| failed(error, store, options), |well| Ok(i32::from(!well)))
            }
        }
    }

    fn limits(&self, options: &CommandOptions) -> GuestLimits {
        let largest = self.runtime.memory_bytes;
        GuestLimits {
            memory_bytes: options.memory_bytes.unwrap_or(largest).min(largest),
            table_elements: self.runtime.table_elements,
            core_instances: CORE_INSTANCES,
            ..GuestLimits::default()
        }
    }

    /// Keeps the epoch moving for as long as the program runs.
    fn tick(&self) -> Result<Ticking<'_>, CommandError> {
        let limit = self.runtime.schedule.max_instances;
        if !self.runtime.schedule.ticker.enter(limit) {
            return Err(CommandError::HostFault { reason: format!("{limit} programs run already") });
        }
        Ok(Ticking(&self.runtime))
    }
}

struct Ticking<'a>(&'a Platform);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.schedule.ticker.leave();
    }
}

async fn within<T>(limit: Option<Duration>, run: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match limit {
        Some(limit) => timeout(limit, run).await.unwrap_or_else(|_| Err(Breach::Deadline.into())),
        None => run.await,
    }
}

fn failed<T: HasCall>(
    error: wasmtime::Error,
    mut store: Store<T>,
    options: &CommandOptions,
) -> Result<i32, CommandError> {
    let breach = store.data_mut().call().limiter.breach().map(|refused| refused.to_string());
    end::of(error, Ended { breach, time: options.time })
}

impl Runtime {
    /// Compiles a command program, or takes the code out of a precompiled one, and checks that it can be run.
    ///
    /// # Errors
    /// [`LoadError`] with all unknown imports by name, or whatever else is wrong.
    pub async fn command(&self, artifact: Bytes) -> Result<Command, LoadError> {
        let wasm = precompiled::original_wasm(&artifact)?;
        let runtime = self.engine_of(&wasm).await?;
        let (engine, compiler) = (&runtime.engine, &runtime.compiler);
        let linked = async {
            if wasmparser::Parser::is_component(&wasm) {
                let component = compiler.code(&artifact, Growth::Roomy).await?;
                let program = match runtime.wasi {
                    Wasi::P2 => Program::Component(component::link(&runtime.components, &component.code)?),
                    Wasi::P3 => p3::link(&runtime.components, &component.code)?,
                };
                Ok((program, component.origin))
            } else {
                let module = compiler.code(&artifact, Growth::Roomy).await?;
                Ok((Program::Module(module::link(engine, &module.code)?), module.origin))
            }
        };
        match linked.await {
            Ok((program, code)) => Ok(Command { runtime, program, code }),
            Err(error) => Err(self.explained(error, wasm).await),
        }
    }
}
