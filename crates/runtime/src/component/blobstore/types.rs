//! `wasi:blobstore/types`: the records, and the values that go in and out of objects.

use bytes::Bytes;
use contracts::blobstore::{self as contract, Timestamp};
use wasmtime::component::{ComponentType, Lift, Lower, Resource, ResourceType};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use super::{
    answer::{Answer, Guest, Instance, answer, resource},
    copy::Place,
    read::{ObjectStream, Range},
    write::{CompletedBy, Value},
};
use crate::call::HasCall;

/// A container that a guest holds. Knows nothing but its name, so it may be gone meanwhile.
pub(super) struct Container {
    pub(super) name: String,
}

#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
pub(super) struct ContainerMetadata {
    name: String,
    #[component(name = "created-at")]
    created_at: u64,
}

#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
pub(super) struct ObjectMetadata {
    name: String,
    container: String,
    #[component(name = "created-at")]
    created_at: u64,
    size: u64,
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct ObjectId {
    container: String,
    object: String,
}

impl ObjectId {
    pub(super) fn place(&self) -> Place<'_> {
        Place { container: &self.container, object: &self.object }
    }
}

impl From<contract::ContainerMetadata> for ContainerMetadata {
    fn from(metadata: contract::ContainerMetadata) -> Self {
        Self { name: metadata.container_id, created_at: seconds(metadata.created_at) }
    }
}

impl From<contract::ObjectMetadata> for ObjectMetadata {
    fn from(metadata: contract::ObjectMetadata) -> Self {
        Self {
            name: metadata.object_id,
            container: metadata.container_id,
            created_at: seconds(metadata.last_modified),
            size: metadata.content_length,
        }
    }
}

/// Seconds since 1970; zero where the store does not know.
fn seconds(time: Option<Timestamp>) -> u64 {
    time.and_then(|time| time.sec.try_into().ok()).unwrap_or(0)
}

pub(super) fn add_to_linker(mut instance: Instance<'_>, completed_by: CompletedBy) -> wasmtime::Result<()> {
    resource::<Range>(&mut instance, "incoming-value")?;
    instance.resource_async("outgoing-value", ResourceType::host::<Value>(), |mut guest, rep| {
        Box::new(async move {
            let value = guest.data_mut().table.delete(Resource::<Value>::new_own(rep))?;
            value.dropped().await;
            Ok(())
        })
    })?;
    instance.func_wrap("[static]outgoing-value.new-outgoing-value", move |mut guest: Guest<'_>, (): ()| {
        let state = guest.data_mut();
        let value = Value::new(&state.call().outgoing(), completed_by);
        Ok((state.table.push(value)?,))
    })?;
    instance.func_wrap("[method]outgoing-value.outgoing-value-write-body", write_body)?;
    function!(instance, "[static]outgoing-value.finish", finish);
    function!(instance, "[static]incoming-value.incoming-value-consume-sync", consume_sync);
    instance.func_wrap("[static]incoming-value.incoming-value-consume-async", consume_async)?;
    instance.func_wrap("[method]incoming-value.size", |guest: Guest<'_>, (value,): (Resource<Range>,)| {
        Ok((guest.data().table.get(&value)?.len(),))
    })
}

type Taken<T> = wasmtime::Result<(Result<T, ()>,)>;

fn write_body(mut guest: Guest<'_>, (value,): (Resource<Value>,)) -> Taken<Resource<DynOutputStream>> {
    let table = &mut guest.data_mut().table;
    let Some(body) = table.get(&value)?.body() else { return Ok((Err(()),)) };
    let stream: DynOutputStream = Box::new(body);
    Ok((Ok(table.push(stream)?),))
}

async fn finish(mut guest: Guest<'_>, (value,): (Resource<Value>,)) -> Answer<()> {
    let value = guest.data_mut().table.delete(value)?;
    answer(value.finish().await)
}

async fn consume_sync(mut guest: Guest<'_>, (value,): (Resource<Range>,)) -> Answer<Bytes> {
    let range = guest.data_mut().table.delete(value)?;
    answer(range.all().await)
}

fn consume_async(mut guest: Guest<'_>, (value,): (Resource<Range>,)) -> Answer<Resource<DynInputStream>> {
    let table = &mut guest.data_mut().table;
    let range = table.delete(value)?;
    let stream: DynInputStream = Box::new(ObjectStream::new(range));
    answer(Ok(table.push(stream)?))
}
