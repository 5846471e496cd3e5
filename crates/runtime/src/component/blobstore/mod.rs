//! `wasi:blobstore`: containers and objects of the `wasmcloud:blobstore` contract, as resources of a guest (protocol
//! sections 6.2 and 6.3).
//!
//! The draft of 2023 (`0.1.0`) and the one of 2024 (`0.2.0-draft`) have the same shapes but for `finish`; both are
//! linked to the same functions. Invariant: a guest learns of a failed operation by a text, and is ended only when it
//! broke a limit.

/// Links an async function under its name in the interface.
macro_rules! function {
    ($instance:expr, $name:literal, $function:path) => {
        $instance.func_wrap_async($name, |guest, arguments| Box::new($function(guest, arguments)))?
    };
}

mod answer;
mod copy;
mod names;
mod read;
mod store;
mod types;
mod write;

use contracts::blobstore::CONTRACT;
use wasmtime::component::{Linker, Resource};

use self::{
    answer::{Answer, Guest, Instance, answer, hand_over, resource},
    names::Names,
    read::Range,
    store::{Outcome, Refusal, Store},
    types::{Container, ContainerMetadata, ObjectId, ObjectMetadata},
    write::{CompletedBy, Value},
};
use super::{interface::Interface, state::ComponentState};
use crate::call::HasCall;

const VERSIONS: &[(&str, CompletedBy)] = &[("@0.1.0", CompletedBy::EndOfStream), ("@0.2.0-draft", CompletedBy::Finish)];
const VERSION_NAMES: &[&str] = &[VERSIONS[0].0, VERSIONS[1].0];

const TYPES: &str = "wasi:blobstore/types";
const CONTAINER: &str = "wasi:blobstore/container";
const BLOBSTORE: &str = "wasi:blobstore/blobstore";

/// What is linked here.
pub(super) const INTERFACES: &[Interface] = &[
    Interface {
        name: TYPES,
        versions: VERSION_NAMES,
        functions: &[
            "[static]outgoing-value.new-outgoing-value",
            "[method]outgoing-value.outgoing-value-write-body",
            "[static]outgoing-value.finish",
            "[static]incoming-value.incoming-value-consume-sync",
            "[static]incoming-value.incoming-value-consume-async",
            "[method]incoming-value.size",
        ],
        needs: Some(CONTRACT),
    },
    Interface {
        name: CONTAINER,
        versions: VERSION_NAMES,
        functions: &[
            "[method]container.name",
            "[method]container.info",
            "[method]container.get-data",
            "[method]container.write-data",
            "[method]container.list-objects",
            "[method]container.delete-object",
            "[method]container.delete-objects",
            "[method]container.has-object",
            "[method]container.object-info",
            "[method]container.clear",
            "[method]stream-object-names.read-stream-object-names",
            "[method]stream-object-names.skip-stream-object-names",
        ],
        needs: Some(CONTRACT),
    },
    Interface {
        name: BLOBSTORE,
        versions: VERSION_NAMES,
        functions: &[
            "create-container",
            "get-container",
            "delete-container",
            "container-exists",
            "copy-object",
            "move-object",
        ],
        needs: Some(CONTRACT),
    },
];

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    for (version, completed_by) in VERSIONS {
        types::add_to_linker(linker.instance(&format!("{TYPES}{version}"))?, *completed_by)?;
        containers(linker.instance(&format!("{CONTAINER}{version}"))?)?;
        stores(linker.instance(&format!("{BLOBSTORE}{version}"))?)?;
    }
    Ok(())
}

fn stores(mut instance: Instance<'_>) -> wasmtime::Result<()> {
    function!(instance, "create-container", create_container);
    function!(instance, "get-container", get_container);
    function!(instance, "delete-container", delete_container);
    function!(instance, "container-exists", container_exists);
    function!(instance, "copy-object", copy_object);
    function!(instance, "move-object", move_object);
    Ok(())
}

fn containers(mut instance: Instance<'_>) -> wasmtime::Result<()> {
    resource::<Container>(&mut instance, "container")?;
    resource::<Names>(&mut instance, "stream-object-names")?;
    instance.func_wrap("[method]container.name", |guest: Guest<'_>, (container,): (Resource<Container>,)| {
        let name = guest.data().table.get(&container)?.name.clone();
        Ok((Ok::<_, String>(name),))
    })?;
    function!(instance, "[method]container.info", info);
    function!(instance, "[method]container.get-data", get_data);
    function!(instance, "[method]container.write-data", write_data);
    function!(instance, "[method]container.list-objects", list_objects);
    function!(instance, "[method]container.delete-object", delete_object);
    function!(instance, "[method]container.delete-objects", delete_objects);
    function!(instance, "[method]container.has-object", has_object);
    function!(instance, "[method]container.object-info", object_info);
    function!(instance, "[method]container.clear", clear);
    function!(instance, "[method]stream-object-names.read-stream-object-names", read_names);
    function!(instance, "[method]stream-object-names.skip-stream-object-names", skip_names);
    Ok(())
}

/// The store as the guest has chosen it.
fn store(guest: &mut Guest<'_>) -> Store {
    let state = guest.data_mut();
    let target = state.targets.of(BLOBSTORE, CONTRACT);
    Store::new(state.call().outgoing(), target)
}

fn named(guest: &mut Guest<'_>, container: &Resource<Container>) -> wasmtime::Result<(Store, String)> {
    let name = guest.data().table.get(container)?.name.clone();
    Ok((store(guest), name))
}

async fn create_container(mut guest: Guest<'_>, (name,): (String,)) -> Answer<Resource<Container>> {
    let created = store(&mut guest).create_container(&name).await;
    hand_over(&mut guest, created.map(|()| Container { name }))
}

async fn get_container(mut guest: Guest<'_>, (name,): (String,)) -> Answer<Resource<Container>> {
    let found = match store(&mut guest).container_exists(&name).await {
        Ok(true) => Ok(Container { name }),
        Ok(false) => Err(Refusal::Error(format!("there is no container `{name}`"))),
        Err(refusal) => Err(refusal),
    };
    hand_over(&mut guest, found)
}

async fn delete_container(mut guest: Guest<'_>, (name,): (String,)) -> Answer<()> {
    answer(store(&mut guest).remove_container(&name).await)
}

async fn container_exists(mut guest: Guest<'_>, (name,): (String,)) -> Answer<bool> {
    answer(store(&mut guest).container_exists(&name).await)
}

async fn copy_object(mut guest: Guest<'_>, (from, to): (ObjectId, ObjectId)) -> Answer<()> {
    let (store, out) = (store(&mut guest), guest.data_mut().call().outgoing());
    answer(copy::copy(&out, &store, &from.place(), &to.place()).await)
}

async fn move_object(mut guest: Guest<'_>, (from, to): (ObjectId, ObjectId)) -> Answer<()> {
    let (store, out) = (store(&mut guest), guest.data_mut().call().outgoing());
    answer(copy::rename(&out, &store, &from.place(), &to.place()).await)
}

async fn info(mut guest: Guest<'_>, (container,): (Resource<Container>,)) -> Answer<ContainerMetadata> {
    let (store, name) = named(&mut guest, &container)?;
    answer(store.container_info(&name).await.map(ContainerMetadata::from))
}

async fn get_data(
    mut guest: Guest<'_>,
    (container, object, first, last): (Resource<Container>, String, u64, u64),
) -> Answer<Resource<Range>> {
    let (store, name) = named(&mut guest, &container)?;
    let range = Range::open(store, &name, &object, first, last).await;
    hand_over(&mut guest, range)
}

async fn write_data(
    mut guest: Guest<'_>,
    (container, object, value): (Resource<Container>, String, Resource<Value>),
) -> Answer<()> {
    let (store, name) = named(&mut guest, &container)?;
    let value = guest.data().table.get(&value)?.clone();
    answer(value.write_to(store, &name, &object).await)
}

async fn list_objects(mut guest: Guest<'_>, (container,): (Resource<Container>,)) -> Answer<Resource<Names>> {
    let (store, name) = named(&mut guest, &container)?;
    let names = Names::open(store, &name).await;
    hand_over(&mut guest, names)
}

async fn delete_object(mut guest: Guest<'_>, (container, object): (Resource<Container>, String)) -> Answer<()> {
    let (store, name) = named(&mut guest, &container)?;
    answer(store.remove_objects(&name, vec![object]).await)
}

async fn delete_objects(mut guest: Guest<'_>, (container, objects): (Resource<Container>, Vec<String>)) -> Answer<()> {
    let (store, name) = named(&mut guest, &container)?;
    answer(store.remove_objects(&name, objects).await)
}

async fn has_object(mut guest: Guest<'_>, (container, object): (Resource<Container>, String)) -> Answer<bool> {
    let (store, name) = named(&mut guest, &container)?;
    answer(store.object_exists(&name, &object).await)
}

async fn object_info(
    mut guest: Guest<'_>,
    (container, object): (Resource<Container>, String),
) -> Answer<ObjectMetadata> {
    let (store, name) = named(&mut guest, &container)?;
    answer(store.object_info(&name, &object).await.map(ObjectMetadata::from))
}

async fn clear(mut guest: Guest<'_>, (container,): (Resource<Container>,)) -> Answer<()> {
    let (store, name) = named(&mut guest, &container)?;
    answer(cleared(&store, &name).await)
}

/// Lists and removes until nothing is left, each time from the beginning, because removing moves what follows.
async fn cleared(store: &Store, container: &str) -> Outcome<()> {
    loop {
        let page = store.list(container, None).await?;
        if page.objects.is_empty() {
            return Ok(());
        }
        let objects = page.objects.into_iter().map(|object| object.object_id).collect();
        store.remove_objects(container, objects).await?;
        if page.is_last {
            return Ok(());
        }
    }
}

async fn read_names(mut guest: Guest<'_>, (names, len): (Resource<Names>, u64)) -> Answer<(Vec<String>, bool)> {
    answer(guest.data_mut().table.get_mut(&names)?.read(len).await)
}

async fn skip_names(mut guest: Guest<'_>, (names, count): (Resource<Names>, u64)) -> Answer<(u64, bool)> {
    answer(guest.data_mut().table.get_mut(&names)?.skip(count).await)
}
