//! `wasi:keyvalue/atomics` of both drafts: counting, and in the second compare-and-swap.
//!
//! A `cas` remembers the value it saw, and the swap expects that value. Invariant: a value that changed and changed back
//! in between counts as unchanged; the contract has no versions.

use contracts::keyvalue::{CompareAndSwapRequest, Value};
use wasmtime::component::{ComponentType, Linker, Lower, Resource, ResourceType};

use super::{
    ask::{self, Failure},
    drafts::{DRAFT, DRAFT2},
    store::{Bucket, Error, Outcome, Store},
};
use crate::{call::outbound::OutboundTarget, component::state::ComponentState};

pub(super) const NAME: &str = "wasi:keyvalue/atomics";

pub(super) const FUNCTIONS: &[&str] = &["increment"];

pub(super) const FUNCTIONS_2: &[&str] = &["increment", "[static]cas.new", "[method]cas.current", "swap"];

/// The resource `cas`.
struct Cas {
    target: OutboundTarget,
    key: String,
    current: Option<Value>,
}

/// The variant `cas-error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    Store(Error),
    #[component(name = "cas-failed")]
    Failed(Resource<Cas>),
}

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    let mut draft = linker.instance(&format!("{NAME}{DRAFT}"))?;
    draft.func_wrap_async("increment", |store, arguments| Box::new(increment(store, arguments)))?;

    let mut draft2 = linker.instance(&format!("{NAME}{DRAFT2}"))?;
    draft2.resource("cas", ResourceType::host::<Cas>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<Cas>::new_own(rep))?;
        Ok(())
    })?;
    draft2.func_wrap_async("increment", |store, arguments| Box::new(increment_2(store, arguments)))?;
    draft2.func_wrap_async("[static]cas.new", |store, arguments| Box::new(new(store, arguments)))?;
    draft2.func_wrap("[method]cas.current", |mut store: Store<'_>, (cas,): (Resource<Cas>,)| {
        let current = store.data_mut().table.get(&cas)?.current.clone();
        Ok((Ok::<_, Error>(current.map(|value| value.0)),))
    })?;
    draft2.func_wrap_async("swap", |store, arguments| Box::new(swap(store, arguments)))
}

async fn add(
    mut store: Store<'_>,
    bucket: Resource<Bucket>,
    key: String,
    delta: i64,
) -> wasmtime::Result<Result<i64, Failure>> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    Ok(ask::increment(state, target, key, delta)?.await)
}

async fn increment(store: Store<'_>, (bucket, key, delta): (Resource<Bucket>, String, u64)) -> Outcome<u64> {
    let sum = match ask::signed(delta) {
        Ok(delta) => add(store, bucket, key, delta).await?,
        Err(failure) => Err(failure),
    };
    Ok((sum.and_then(ask::unsigned).map_err(Error::from),))
}

async fn increment_2(store: Store<'_>, (bucket, key, delta): (Resource<Bucket>, String, i64)) -> Outcome<i64> {
    Ok((add(store, bucket, key, delta).await?.map_err(Error::from),))
}

async fn new(mut store: Store<'_>, (bucket, key): (Resource<Bucket>, String)) -> Outcome<Resource<Cas>> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let current = match ask::get(state, target.clone(), &key)?.await {
        Ok(value) => value.map(Value),
        Err(failure) => return Ok((Err(failure.into()),)),
    };
    Ok((Ok(store.data_mut().table.push(Cas { target, key, current })?),))
}

async fn swap(mut store: Store<'_>, (cas, value): (Resource<Cas>, Vec<u8>)) -> Outcome<(), CasError> {
    let state = store.data_mut();
    let Cas { target, key, current } = state.table.delete(cas)?;
    let request = CompareAndSwapRequest { key, expected: current, value: Value(value) };
    let answer = match ask::compare_and_swap(state, target.clone(), &request)?.await {
        Ok(answer) => answer,
        Err(failure) => return Ok((Err(CasError::Store(failure.into())),)),
    };
    if answer.swapped {
        return Ok((Ok(()),));
    }
    // For the next attempt, which is the guest's to make.
    let next = Cas { target, key: request.key, current: answer.current };
    Ok((Err(CasError::Failed(store.data_mut().table.push(next)?)),))
}
