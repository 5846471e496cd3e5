//! `wasi:keyvalue/batch` of both drafts: the same for many keys.
//!
//! The contract has no such operations, so each key is a call of its own, several at once. Invariant: they count as that
//! many calls, and their results together are bounded as that of one.

use futures_util::{StreamExt, TryStreamExt, stream};
use wasmtime::component::{Linker, Resource};

use super::{
    ask::{self, Answer, Failure},
    drafts::V02,
    store::{Bucket, Error, Outcome, Store},
};
use crate::{call::HasCall, component::state::ComponentState};

pub(super) const NAME: &str = "wasi:keyvalue/batch";

pub(super) const FUNCTIONS: &[&str] = &["get-many", "set-many", "delete-many"];

/// Calls under way at once.
const AT_ONCE: usize = 16;

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    for version in V02 {
        let mut batch = linker.instance(&format!("{NAME}{version}"))?;
        batch.func_wrap_async("get-many", |store, arguments| Box::new(get_many(store, arguments)))?;
        batch.func_wrap_async("set-many", |store, arguments| Box::new(set_many(store, arguments)))?;
        batch.func_wrap_async("delete-many", |store, arguments| Box::new(delete_many(store, arguments)))?;
    }
    Ok(())
}

type Found = Vec<Option<(String, Vec<u8>)>>;

async fn get_many(mut store: Store<'_>, (bucket, keys): (Resource<Bucket>, Vec<String>)) -> Outcome<Found> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let limit = state.call().actor.limits.response_bytes as usize;
    let asked = keys.iter().map(|key| ask::get(state, target.clone(), key));
    let asked = asked.collect::<wasmtime::Result<Vec<_>>>()?;
    let mut values = stream::iter(asked).buffered(AT_ONCE);
    let (mut found, mut total) = (Vec::with_capacity(keys.len()), 0);
    for key in keys {
        match values.next().await.expect("one for each key") {
            Ok(value) => {
                total += value.as_ref().map_or(0, |value| value.len() + key.len());
                if total > limit {
                    let text = format!("limit exceeded: values of more than {limit} bytes, the limit `response_bytes`");
                    return Ok((Err(Error::Other(text)),));
                }
                found.push(value.map(|value| (key, value)));
            }
            Err(failure) => return Ok((Err(failure.into()),)),
        }
    }
    Ok((Ok(found),))
}

async fn set_many(mut store: Store<'_>, (bucket, pairs): (Resource<Bucket>, Vec<(String, Vec<u8>)>)) -> Outcome<()> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let asked = pairs.into_iter().map(|(key, value)| ask::set(state, target.clone(), key, value));
    all(asked.collect::<wasmtime::Result<Vec<_>>>()?).await
}

async fn delete_many(mut store: Store<'_>, (bucket, keys): (Resource<Bucket>, Vec<String>)) -> Outcome<()> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let asked = keys.iter().map(|key| ask::delete(state, target.clone(), key));
    all(asked.collect::<wasmtime::Result<Vec<_>>>()?).await
}

/// Waits for all, up to the first that fails. The others may have happened.
async fn all<R>(asked: Vec<impl Answer<R>>) -> Outcome<()> {
    let done: Result<(), Failure> = stream::iter(asked).buffered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await;
    Ok((done.map_err(Error::from),))
}
