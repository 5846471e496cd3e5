//! `wasmcloud:bus/host`: a call out with its argument in memory, or with streams while the guest goes on.
//!
//! Invariant: the operation is what follows the last `/`, the contract is what stands before it.

use bytes::Bytes;
use contracts::CallError;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, subscribe};

use super::{
    pending::{self, FutureResult},
    target::TargetEntity,
};
use crate::{
    call::{HasCall, outbound::OutboundTarget},
    component::{
        state::ComponentState,
        targets::{DEFAULT_LINK, Target},
    },
    error::ended::Breach,
};

pub(super) const NAME: &str = "wasmcloud:bus/host";

pub(super) const FUNCTIONS: &[&str] =
    &["call-sync", "call", "drop-future-result", "future-result-get", "listen-to-future-result"];

type Store<'a> = StoreContextMut<'a, ComponentState>;

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    let mut host = linker.instance(NAME)?;
    host.func_wrap_async("call-sync", |store, arguments| Box::new(call_sync(store, arguments)))?;
    host.func_wrap("call", call)?;
    host.func_wrap("drop-future-result", |mut store: Store<'_>, (handle,): (u32,)| {
        let gone = store.data_mut().table.delete(Resource::<FutureResult>::new_own(handle));
        gone.map(drop).map_err(|error| unknown(handle, &error).into())
    })?;
    host.func_wrap("future-result-get", |mut store: Store<'_>, (handle,): (u32,)| {
        let future = store.data_mut().table.get(&Resource::<FutureResult>::new_borrow(handle));
        Ok((future.map_err(|error| unknown(handle, &error))?.get(),))
    })?;
    host.func_wrap("listen-to-future-result", listen)
}

fn unknown(handle: u32, error: &wasmtime::component::ResourceTableError) -> Breach {
    Breach::Abi(format!("`future-result` {handle}: {error}"))
}

type Arguments = (Option<TargetEntity>, String, Vec<u8>);

async fn call_sync(
    mut store: Store<'_>,
    (target, operation, payload): Arguments,
) -> wasmtime::Result<(Result<Bytes, String>,)> {
    let call = store.data_mut().call();
    call.count_host_call(payload.len())?;
    let (target, operation) = match resolve(target, &operation) {
        Ok(resolved) => resolved,
        Err(error) => return Ok((Err(error.to_string()),)),
    };
    Ok((call.outbound(target, operation, Bytes::from(payload)).await.map_err(|error| error.to_string()),))
}

type Streams = (u32, Resource<DynInputStream>, Resource<DynOutputStream>);

fn call(
    mut store: Store<'_>,
    (target, operation): (Option<TargetEntity>, String),
) -> wasmtime::Result<(Result<Streams, String>,)> {
    let state = store.data_mut();
    state.call().count_host_call(operation.len())?;
    let (target, operation) = match resolve(target, &operation) {
        Ok(resolved) => resolved,
        Err(error) => return Ok((Err(error.to_string()),)),
    };
    let outgoing = state.call().outgoing();
    let limit = state.call().actor.limits.payload_bytes as usize;
    let (future, result, argument) = pending::call(limit, move |argument| async {
        outgoing.call(target, operation, argument).await.map_err(|error| error.to_string())
    });
    let future = state.table.push(future)?;
    let result = state.table.push(Box::new(result) as DynInputStream)?;
    let argument = state.table.push(Box::new(argument) as DynOutputStream)?;
    Ok((Ok((future.rep(), result, argument)),))
}

fn listen(mut store: Store<'_>, (handle,): (u32,)) -> wasmtime::Result<(Resource<DynPollable>,)> {
    let table = &mut store.data_mut().table;
    let future = Resource::<FutureResult>::new_borrow(handle);
    table.get(&future).map_err(|error| unknown(handle, &error))?;
    Ok((subscribe(table, future)?,))
}

/// Whom, and the operation in its wire form.
fn resolve(target: Option<TargetEntity>, operation: &str) -> Result<(OutboundTarget, String), CallError> {
    let (contract, name) = match operation.rsplit_once('/') {
        Some((contract, name)) => (Some(contract), name),
        None => (None, operation),
    };
    let target = match (target.map(Target::from), contract) {
        (Some(Target::Actor(name)), _) => OutboundTarget::Actor { name },
        (target, Some(contract)) => {
            target.unwrap_or_else(|| Target::Link(DEFAULT_LINK.to_owned())).with_contract(contract)
        }
        (_, None) => {
            let reason = format!("`{operation:.200}` does not say its contract, expected `contract/operation`");
            return Err(CallError::Malformed { what: "operation".to_owned(), reason });
        }
    };
    Ok((target, name.to_owned()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::component::bus::target::ActorIdentifier;

    fn link(contract: &str, link_name: &str) -> OutboundTarget {
        OutboundTarget::Link { contract: contract.to_owned(), link_name: link_name.to_owned() }
    }

    #[test]
    fn the_contract_is_what_stands_before_the_last_slash() {
        let (target, operation) = resolve(None, "wasmcloud:keyvalue/KeyValue.Get").unwrap();
        assert_eq!((target, operation.as_str()), (link("wasmcloud:keyvalue", "default"), "KeyValue.Get"));
        let (target, operation) = resolve(Some(TargetEntity::Link(Some("b".into()))), "a:b/c/D.E").unwrap();
        assert_eq!((target, operation.as_str()), (link("a:b/c", "b"), "D.E"));
    }

    #[test]
    fn an_actor_needs_no_contract_and_a_link_does() {
        let actor = || Some(TargetEntity::Actor(ActorIdentifier::Alias("greeter".into())));
        let expected = OutboundTarget::Actor { name: "greeter".into() };
        assert_eq!(resolve(actor(), "Greeter.Hi").unwrap(), (expected, "Greeter.Hi".to_owned()));
        assert_eq!(resolve(None, "Greeter.Hi").unwrap_err().code(), "malformed");
    }
}
