//! `wasi:keyvalue@0.1.0`, the draft of 0.82: `types`, `wasi-keyvalue-error`, `eventual` and `atomic`.
//!
//! Invariant: there is one bucket, whose name is empty; which link it stands for is chosen by `set-target`.

use bytes::Bytes;
use contracts::keyvalue::{CONTRACT, CompareAndSwapRequest};
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream,
    pipe::{MemoryInputPipe, MemoryOutputPipe},
};

use super::{
    ask::{self, Failure},
    store::{Outcome as Typed, Store},
};
use crate::{
    call::{HasCall, outbound::OutboundTarget},
    component::state::ComponentState,
};

pub(super) const ERROR: &str = "wasi:keyvalue/wasi-keyvalue-error";
pub(super) const ERROR_FUNCTIONS: &[&str] = &["[method]error.trace"];

pub(super) const TYPES: &str = "wasi:keyvalue/types";
pub(super) const TYPES_FUNCTIONS: &[&str] = &[
    "[static]bucket.open-bucket",
    "[static]outgoing-value.new-outgoing-value",
    "[method]outgoing-value.outgoing-value-write-body-async",
    "[method]outgoing-value.outgoing-value-write-body-sync",
    "[static]incoming-value.incoming-value-consume-sync",
    "[static]incoming-value.incoming-value-consume-async",
    "[method]incoming-value.incoming-value-size",
];

pub(super) const EVENTUAL: &str = "wasi:keyvalue/eventual";
pub(super) const EVENTUAL_FUNCTIONS: &[&str] = &["get", "set", "delete", "exists"];

pub(super) const ATOMIC: &str = "wasi:keyvalue/atomic";
pub(super) const ATOMIC_FUNCTIONS: &[&str] = &["increment", "compare-and-swap"];

const VERSION: &str = "@0.1.0";

/// The resource `error`.
struct Trace(String);

/// The resource `bucket`; there is but one.
struct Bucket;

/// The resource `outgoing-value`.
#[derive(Default)]
enum OutgoingValue {
    #[default]
    Empty,
    Written(Vec<u8>),
    Streamed(MemoryOutputPipe),
}

/// The resource `incoming-value`.
struct IncomingValue(Vec<u8>);

type Outcome<R> = Typed<R, Resource<Trace>>;

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    let mut error = linker.instance(&format!("{ERROR}{VERSION}"))?;
    error.resource("error", ResourceType::host::<Trace>(), delete_resource::<Trace>)?;
    error.func_wrap("[method]error.trace", |store: Store<'_>, (error,): (Resource<Trace>,)| {
        Ok((store.data().table.get(&error)?.0.clone(),))
    })?;

    add_types(linker)?;

    let mut eventual = linker.instance(&format!("{EVENTUAL}{VERSION}"))?;
    eventual.func_wrap_async("get", |store, arguments| Box::new(get(store, arguments)))?;
    eventual.func_wrap_async("set", |store, arguments| Box::new(set(store, arguments)))?;
    eventual.func_wrap_async("delete", |store, arguments| Box::new(delete(store, arguments)))?;
    eventual.func_wrap_async("exists", |store, arguments| Box::new(exists(store, arguments)))?;

    let mut atomic = linker.instance(&format!("{ATOMIC}{VERSION}"))?;
    atomic.func_wrap_async("increment", |store, arguments| Box::new(increment(store, arguments)))?;
    atomic.func_wrap_async("compare-and-swap", |store, arguments| Box::new(compare_and_swap(store, arguments)))
}

fn add_types(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    let mut types = linker.instance(&format!("{TYPES}{VERSION}"))?;
    types.resource("bucket", ResourceType::host::<Bucket>(), delete_resource::<Bucket>)?;
    types.resource("outgoing-value", ResourceType::host::<OutgoingValue>(), delete_resource::<OutgoingValue>)?;
    types.resource("incoming-value", ResourceType::host::<IncomingValue>(), delete_resource::<IncomingValue>)?;
    types.func_wrap("[static]bucket.open-bucket", open_bucket)?;
    types.func_wrap("[static]outgoing-value.new-outgoing-value", |mut store: Store<'_>, (): ()| {
        Ok((store.data_mut().table.push(OutgoingValue::default())?,))
    })?;
    types.func_wrap("[method]outgoing-value.outgoing-value-write-body-async", write_async)?;
    types.func_wrap("[method]outgoing-value.outgoing-value-write-body-sync", write_sync)?;
    types.func_wrap("[static]incoming-value.incoming-value-consume-sync", consume_sync)?;
    types.func_wrap("[static]incoming-value.incoming-value-consume-async", consume_async)?;
    types.func_wrap("[method]incoming-value.incoming-value-size", size)
}

fn delete_resource<R: 'static>(mut store: Store<'_>, rep: u32) -> wasmtime::Result<()> {
    store.data_mut().table.delete(Resource::<R>::new_own(rep))?;
    Ok(())
}

/// The error resource of a failure.
fn traced<R>(state: &mut ComponentState, outcome: Result<R, Failure>) -> Outcome<R> {
    Ok((match outcome {
        Ok(value) => Ok(value),
        Err(failure) => Err(state.table.push(Trace(failure.into_text()))?),
    },))
}

fn open_bucket(mut store: Store<'_>, (name,): (String,)) -> Outcome<Resource<Bucket>> {
    let state = store.data_mut();
    if name.is_empty() {
        return Ok((Ok(state.table.push(Bucket)?),));
    }
    let text = format!("`{name:.200}` is not the name of a bucket: it must be empty, choose a link by `set-target`");
    traced(state, Err(Failure::Other(text)))
}

fn write_async(mut store: Store<'_>, (value,): (Resource<OutgoingValue>,)) -> Outcome<Resource<DynOutputStream>> {
    let state = store.data_mut();
    let pipe = MemoryOutputPipe::new(state.call().actor.limits.payload_bytes as usize);
    *state.table.get_mut(&value)? = OutgoingValue::Streamed(pipe.clone());
    Ok((Ok(state.table.push(Box::new(pipe) as DynOutputStream)?),))
}

fn write_sync(mut store: Store<'_>, (value, bytes): (Resource<OutgoingValue>, Vec<u8>)) -> Outcome<()> {
    *store.data_mut().table.get_mut(&value)? = OutgoingValue::Written(bytes);
    Ok((Ok(()),))
}

fn consume_sync(mut store: Store<'_>, (value,): (Resource<IncomingValue>,)) -> Outcome<Vec<u8>> {
    Ok((Ok(store.data_mut().table.delete(value)?.0),))
}

fn consume_async(mut store: Store<'_>, (value,): (Resource<IncomingValue>,)) -> Outcome<Resource<DynInputStream>> {
    let table = &mut store.data_mut().table;
    let value = table.delete(value)?;
    Ok((Ok(table.push(Box::new(MemoryInputPipe::new(value.0)) as DynInputStream)?),))
}

fn size(store: Store<'_>, (value,): (Resource<IncomingValue>,)) -> Outcome<u64> {
    Ok((Ok(store.data().table.get(&value)?.0.len() as u64),))
}

/// Whom an interface calls; the bucket must be one.
fn target(state: &ComponentState, bucket: &Resource<Bucket>, interface: &str) -> wasmtime::Result<OutboundTarget> {
    let Bucket = state.table.get(bucket)?;
    Ok(state.targets.of(interface, CONTRACT))
}

async fn get(
    mut store: Store<'_>,
    (bucket, key): (Resource<Bucket>, String),
) -> Outcome<Option<Resource<IncomingValue>>> {
    let state = store.data_mut();
    let target = target(state, &bucket, EVENTUAL)?;
    let found = ask::get(state, target, &key)?.await;
    let state = store.data_mut();
    match found {
        Ok(Some(value)) => Ok((Ok(Some(state.table.push(IncomingValue(value))?)),)),
        Ok(None) => Ok((Ok(None),)),
        Err(failure) => traced(state, Err(failure)),
    }
}

async fn set(
    mut store: Store<'_>,
    (bucket, key, value): (Resource<Bucket>, String, Resource<OutgoingValue>),
) -> Outcome<()> {
    let state = store.data_mut();
    let target = target(state, &bucket, EVENTUAL)?;
    let value = match state.table.get(&value)? {
        OutgoingValue::Empty => Vec::new(),
        OutgoingValue::Written(bytes) => bytes.clone(),
        OutgoingValue::Streamed(pipe) => Bytes::into(pipe.contents()),
    };
    let done = ask::set(state, target, key, value)?.await;
    traced(store.data_mut(), done)
}

async fn delete(mut store: Store<'_>, (bucket, key): (Resource<Bucket>, String)) -> Outcome<()> {
    let state = store.data_mut();
    let target = target(state, &bucket, EVENTUAL)?;
    let deleted = ask::delete(state, target, &key)?.await.and_then(|deleted| {
        if deleted { Ok(()) } else { Err(Failure::Other(format!("there is no key `{key:.200}` to delete"))) }
    });
    traced(store.data_mut(), deleted)
}

async fn exists(mut store: Store<'_>, (bucket, key): (Resource<Bucket>, String)) -> Outcome<bool> {
    let state = store.data_mut();
    let target = target(state, &bucket, EVENTUAL)?;
    let exists = ask::exists(state, target, &key)?.await;
    traced(store.data_mut(), exists)
}

async fn increment(mut store: Store<'_>, (bucket, key, delta): (Resource<Bucket>, String, u64)) -> Outcome<u64> {
    let state = store.data_mut();
    let target = target(state, &bucket, ATOMIC)?;
    let sum = match ask::signed(delta) {
        Ok(delta) => ask::increment(state, target, key, delta)?.await.and_then(ask::unsigned),
        Err(failure) => Err(failure),
    };
    traced(store.data_mut(), sum)
}

/// Numbers are stored as their decimal text, as `increment` leaves them.
async fn compare_and_swap(
    mut store: Store<'_>,
    (bucket, key, old, new): (Resource<Bucket>, String, u64, u64),
) -> Outcome<bool> {
    let state = store.data_mut();
    let target = target(state, &bucket, ATOMIC)?;
    let (expected, value) = (Some(old.to_string().into()), new.to_string().into());
    let answer = ask::compare_and_swap(state, target, &CompareAndSwapRequest { key, expected, value })?.await;
    traced(store.data_mut(), answer.map(|answer| answer.swapped))
}
