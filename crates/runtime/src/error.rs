//! How loading and starting fail, and how whatever wasmtime reports becomes a [`CallError`].
//!
//! Invariant: a guest's trap, a broken limit, a passed deadline and a fault of ours end up in different variants.

use std::collections::BTreeSet;

use contracts::CallError;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use crate::limits::Refused;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No plan for the engine fits this machine.
    #[error("cannot make a wasm engine: {reason}")]
    Engine {
        /// Each plan with its reason.
        reason: String,
    },
    /// The host's own functions do not link; a bug of ours.
    #[error("cannot link the host functions: {reason}")]
    Link {
        /// wasmtime's reason.
        reason: String,
    },
    /// The operating system gave no thread.
    #[error("cannot start the epoch thread: {reason}")]
    Ticker {
        /// The system's reason.
        reason: String,
    },
}

/// Why an artifact cannot run here. Whatever ran before it keeps running.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Neither a core module nor a component, or not valid.
    #[error("not a valid wasm module or component: {reason}")]
    Invalid {
        /// The validator's reason.
        reason: String,
    },
    /// Valid where more of the standard, or of what may become part of it, is enabled.
    #[error("valid wasm, but this host has not enabled what it uses: {}", .proposals.join(", "))]
    NotEnabled {
        /// What that is.
        proposals: Vec<&'static str>,
    },
    /// The guest imports what nobody provides.
    #[error("imports that this host does not provide: {}", quoted(.names))]
    UnknownImports {
        /// All of them, `module.name` for a module, interface names for a component.
        names: Vec<String>,
    },
    /// The guest imports what its signed claims do not grant.
    #[error("{}; sign it with `wash claims sign {}`", ungranted(.imports), capabilities(.imports))]
    NotGranted {
        /// All such interfaces, each with the contract it needs.
        imports: Vec<(String, String)>,
    },
    /// It was built for WASI 0.3, which is not switched on.
    #[error(
        "built for WASI 0.3, which runs only where it is switched on; set `--wasi-p3` (`WASH_WASI_P3=true`) or build it \
         for WASI 0.2: {}",
        quoted(.interfaces)
    )]
    NewerWasi {
        /// Interfaces that it imports or exports.
        interfaces: Vec<String>,
    },
    /// An import has a known name and another type.
    #[error("an import does not have the type this host provides: {reason}")]
    ImportMismatch {
        /// wasmtime's reason.
        reason: String,
    },
    /// Nothing to call, or an export of the wrong type.
    #[error("{reason}")]
    EntryPoint {
        /// What is expected.
        reason: String,
    },
    /// It needs more at start than its limits allow.
    #[error("needs {needed} {what} to start, allowed are {limit}")]
    ExceedsLimit {
        /// Which resource, with its unit.
        what: &'static str,
        /// What it needs.
        needed: u64,
        /// What it may use.
        limit: u64,
    },
    /// Compiling it takes more time or memory than this host gives to that.
    #[error("compiling it takes more than this host allows: {reason}")]
    TooCostly {
        /// What it takes too much of, with the bound.
        reason: String,
    },
    /// There is no key that precompiled code could be sealed with.
    #[error("without a code cache nothing can be precompiled: name a directory that only this user can write to")]
    NoCodeCache,
    /// A directory that is granted cannot be opened.
    #[error("cannot open the directory `{directory}`: {reason}")]
    Grant {
        /// Which one.
        directory: String,
        /// The system's reason.
        reason: String,
    },
    /// Compiling failed in a way that is our bug.
    #[error("host fault while loading: {reason}")]
    HostFault {
        /// What went wrong.
        reason: String,
    },
}

impl LoadError {
    /// Stable word for logs, tests, docs and any wire that carries one. The sentence may change; this may not.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_wasm",
            Self::NotEnabled { .. } => "not_enabled",
            Self::UnknownImports { .. } => "unknown_imports",
            Self::NotGranted { .. } => "not_granted",
            Self::NewerWasi { .. } => "newer_wasi",
            Self::ImportMismatch { .. } => "import_mismatch",
            Self::EntryPoint { .. } => "no_entry_point",
            Self::ExceedsLimit { .. } => "exceeds_limit",
            Self::Grant { .. } => "grant_unusable",
            Self::TooCostly { .. } => "too_costly_to_compile",
            Self::NoCodeCache => "no_code_cache",
            Self::HostFault { .. } => "host_fault",
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn ungranted(imports: &[(String, String)]) -> String {
    let imports: Vec<String> = imports.iter().map(|(name, contract)| format!("`{name}` (`{contract}`)")).collect();
    format!("imports that its signed claims do not grant: {}", imports.join(", "))
}

/// The flags that would grant what is missing, each contract once.
fn capabilities(imports: &[(String, String)]) -> String {
    let contracts: BTreeSet<&str> = imports.iter().map(|(_, contract)| contract.as_str()).collect();
    contracts.into_iter().map(|contract| format!("--cap {contract}")).collect::<Vec<_>>().join(" ")
}

/// What a host function says to end the guest. Travels through wasmtime and comes out in [`call_error`].
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Breach {
    /// A limit, with its value.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// The call's time is over.
    #[error("deadline exceeded")]
    Deadline,
    /// What all calls have together is in use.
    #[error("{0}")]
    NoRoom(String),
    /// The guest broke the rules of the ABI.
    #[error("{0}")]
    Abi(String),
}

impl Breach {
    pub(crate) fn limit(name: &str, value: impl std::fmt::Display) -> Self {
        Self::Limit(format!("`{name}` of {value}"))
    }
}

/// What the classification must know about the call that failed.
pub(crate) struct Failed<'a> {
    pub(crate) actor: &'a str,
    pub(crate) operation: &'a str,
    /// What refused a growth during the call.
    pub(crate) breach: Option<Refused>,
    /// The host's bound on instances, for an exhausted pool.
    pub(crate) max_instances: u32,
}

/// Sorts whatever ended a guest.
pub(crate) fn call_error(error: &wasmtime::Error, failed: Failed<'_>) -> CallError {
    match error.downcast_ref::<Breach>() {
        Some(Breach::Limit(limit)) => return CallError::LimitExceeded { limit: limit.clone() },
        Some(Breach::Deadline) => return deadline(failed.actor, failed.operation),
        Some(Breach::NoRoom(what)) => {
            return CallError::NoRoom { target: failed.actor.to_owned(), what: what.clone(), begun: true };
        }
        Some(Breach::Abi(message)) => return CallError::Trap { message: with_frames(message.clone(), error) },
        None => {}
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return deadline(failed.actor, failed.operation);
    }
    // A guest that cannot have its memory usually gives up by a trap of its own; the cause is the better answer.
    match failed.breach {
        Some(Refused::Limit(limit)) => return CallError::LimitExceeded { limit },
        Some(Refused::NoRoom(what)) => {
            return CallError::NoRoom { target: failed.actor.to_owned(), what, begun: true };
        }
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return CallError::Busy { target: failed.actor.to_owned(), limit: failed.max_instances };
    }
    if let Some(limit) = broken_by_wasmtime(error) {
        return CallError::LimitExceeded { limit };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return CallError::Trap { message: with_frames(trap.to_string(), error) };
    }
    let reason = reason(error);
    if error.is::<WasmBacktrace>() {
        return CallError::Trap { message: with_frames(reason, error) };
    }
    CallError::HostFault { message: reason }
}

/// What a component hands over when it is called, or in return, may break the rules of the interface types. wasmtime
/// says so without a trap and without a backtrace, because no guest code runs at that moment; it is the guest's doing.
pub(crate) fn unreadable(error: wasmtime::Error) -> wasmtime::Error {
    let has_a_name = error.is::<WasmBacktrace>()
        || error.is::<Trap>()
        || error.is::<Breach>()
        || error.is::<I32Exit>()
        || error.is::<PoolConcurrencyLimitError>()
        || broken_by_wasmtime(&error).is_some();
    if has_a_name { error } else { Breach::Abi(format!("what the guest hands over: {}", reason(&error))).into() }
}

/// Limits that wasmtime watches by itself. Most of them have no type, only a text; tests hold each of them.
fn broken_by_wasmtime(error: &wasmtime::Error) -> Option<String> {
    const TEXTS: [(&str, &str); 3] = [
        ("resource limit exceeded", "`core_instances`, or the tables and memories that go with them"),
        ("store handle limit exceeded", "`component_handles`"),
        ("fuel allocated for hostcalls has been exhausted", "`payload_bytes` in one call of a host function"),
    ];
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Some("`component_handles`".to_owned());
    }
    let root = error.root_cause().to_string();
    TEXTS.iter().find(|(text, _)| root.contains(text)).map(|(_, limit)| (*limit).to_owned())
}

pub(crate) fn deadline(actor: &str, operation: &str) -> CallError {
    CallError::DeadlineExceeded { step: format!("`{actor}` ran `{operation}`") }
}

/// The chain of causes without the backtrace, which wasmtime puts outermost.
pub(crate) fn reason(error: &wasmtime::Error) -> String {
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string);
    let causes = error.chain().map(ToString::to_string).filter(|cause| Some(cause) != backtrace.as_ref());
    causes.collect::<Vec<_>>().join(": ")
}

/// Adds the innermost functions by name, `trap in `a` < `b``.
fn with_frames(message: String, error: &wasmtime::Error) -> String {
    const SHOWN: usize = 3;
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return message };
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .take(SHOWN)
        .map(|frame| match frame.func_name() {
            Some(name) => format!("`{name:.80}`"),
            None => format!("`function {}`", frame.func_index()),
        })
        .collect();
    if names.is_empty() { message } else { format!("{message} in {}", names.join(" called by ")) }
}
