//! How whatever wasmtime reports of a call becomes a [`CallError`].
//!
//! Invariant: a guest's trap, a broken limit, a passed deadline and a fault of ours end up in different variants; which
//! limit was broken is known by its type, never by the sentence about it.

use std::{any::Any, fmt};

use contracts::CallError;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use crate::limits::names::Limit;

/// What a host function says to end the guest. Travels through wasmtime and comes out in [`failure`].
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Breach {
    /// A limit, with its value.
    #[error("limit exceeded: {0}")]
    Limit(Broken),
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
    pub(crate) fn limit(limit: Limit, value: impl fmt::Display) -> Self {
        Self::Limit(Broken::of(limit, value))
    }
}

/// A limit that was broken, in words, and which of the actor's it is. None for what all actors are held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) limit: Option<Limit>,
    pub(crate) text: String,
}

impl Broken {
    /// The actor's own, with the value it has.
    pub(crate) fn of(limit: Limit, value: impl fmt::Display) -> Self {
        Self { limit: Some(limit), text: format!("`{}` of {value}", limit.field()) }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What refused a growth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A limit of the actor, with its value.
    Limit(Broken),
    /// The bound on the memory of all guests.
    NoRoom(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(broken) => broken.fmt(f),
            Self::NoRoom(what) => f.write_str(what),
        }
    }
}

/// How a call failed, and which limit of its actor ended it, if one did.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: CallError,
    pub(crate) broken: Option<Limit>,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self { error, broken: None }
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<Broken> for Failure {
    fn from(Broken { limit, text }: Broken) -> Self {
        Self { error: CallError::LimitExceeded { limit: text }, broken: limit }
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
pub(crate) fn failure(error: &wasmtime::Error, failed: Failed<'_>) -> Failure {
    let no_room = |what| CallError::NoRoom { target: failed.actor.to_owned(), what, begun: true }.into();
    match error.downcast_ref::<Breach>() {
        Some(Breach::Limit(broken)) => return broken.clone().into(),
        Some(Breach::Deadline) => return deadline(failed.actor, failed.operation).into(),
        Some(Breach::NoRoom(what)) => return no_room(what.clone()),
        Some(Breach::Abi(message)) => return trap(message.clone(), error),
        None => {}
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return deadline(failed.actor, failed.operation).into();
    }
    // A guest that cannot have its memory usually gives up by a trap of its own; the cause is the better answer.
    match failed.breach {
        Some(Refused::Limit(broken)) => return broken.into(),
        Some(Refused::NoRoom(what)) => return no_room(what),
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return CallError::Busy { target: failed.actor.to_owned(), limit: failed.max_instances }.into();
    }
    if let Some(broken) = broken_by_wasmtime(error) {
        return broken.into();
    }
    if let Some(reason) = error.downcast_ref::<Trap>() {
        return trap(reason.to_string(), error);
    }
    let reason = reason(error);
    if error.is::<WasmBacktrace>() { trap(reason, error) } else { CallError::HostFault { message: reason }.into() }
}

fn trap(message: String, error: &wasmtime::Error) -> Failure {
    CallError::Trap { message: with_frames(message, error) }.into()
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
fn broken_by_wasmtime(error: &wasmtime::Error) -> Option<Broken> {
    const TEXTS: [(&str, Limit, &str); 3] = [
        ("resource limit exceeded", Limit::CoreInstances, ", or the tables and memories that go with them"),
        ("store handle limit exceeded", Limit::Handles, ""),
        ("fuel allocated for hostcalls has been exhausted", Limit::Payload, " in one call of a host function"),
    ];
    let broken = |limit: Limit, rest: &str| Broken { limit: Some(limit), text: format!("`{}`{rest}", limit.field()) };
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Some(broken(Limit::Handles, ""));
    }
    let root = error.root_cause().to_string();
    TEXTS.iter().find(|(text, ..)| root.contains(text)).map(|(_, limit, rest)| broken(*limit, rest))
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

/// What somebody said who panicked.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(error: impl Into<wasmtime::Error>, breach: Option<Refused>) -> (String, Option<Limit>) {
        let Failure { error, broken } =
            failure(&error.into(), Failed { actor: "M", operation: "Test.Call", breach, max_instances: 1 });
        (error.code().to_owned(), broken)
    }

    #[test]
    fn which_limit_was_broken_is_a_type_whatever_the_sentence_says() {
        let exceeded = "limit_exceeded".to_owned();
        assert_eq!(ended(Breach::limit(Limit::HostCalls, 3), None), (exceeded.clone(), Some(Limit::HostCalls)));
        let of_all = Breach::Limit(Broken { limit: None, text: "a name like `memory_bytes` of 3".to_owned() });
        assert_eq!(ended(of_all, None), (exceeded.clone(), None));
        assert_eq!(ended(ResourceTableError::Full, None), (exceeded.clone(), Some(Limit::Handles)));
        let refused = Some(Refused::Limit(Broken::of(Limit::Memory, 100)));
        assert_eq!(ended(Trap::UnreachableCodeReached, refused), (exceeded, Some(Limit::Memory)));
    }

    #[test]
    fn what_is_no_limit_breaks_none_though_it_speaks_of_one() {
        assert_eq!(ended(Breach::Abi("`payload_bytes` of 3".to_owned()), None), ("trap".to_owned(), None));
        assert_eq!(ended(Breach::Deadline, None).1, None);
        assert_eq!(ended(wasmtime::Error::msg("`cpu_time` of 3"), None), ("host_fault".to_owned(), None));
    }
}
