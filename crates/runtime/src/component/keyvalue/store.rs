//! `wasi:keyvalue/store` of both drafts: buckets.
//!
//! A bucket is a link: the empty identifier and `default` mean the one the guest would call anyway, any other the link of
//! that name. Invariant: whether there is such a link is found out by the first operation, not by opening.

use contracts::keyvalue::CONTRACT;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceTable, ResourceType},
};

use super::{
    ask::{self, Failure},
    drafts::{DRAFT, DRAFT2},
};
use crate::{
    call::outbound::OutboundTarget,
    component::{
        state::ComponentState,
        targets::{DEFAULT_LINK, Target, Targets},
    },
};

pub(super) const NAME: &str = "wasi:keyvalue/store";

pub(super) const FUNCTIONS: &[&str] = &[
    "open",
    "[method]bucket.get",
    "[method]bucket.set",
    "[method]bucket.delete",
    "[method]bucket.exists",
    "[method]bucket.list-keys",
];

/// The resource `bucket`.
pub(super) struct Bucket {
    /// The link it stands for; none for the one the guest would call anyway.
    link: Option<String>,
    /// Cursors given out as numbers, which is all the first draft has. As many as there were pages.
    cursors: Vec<String>,
}

impl Bucket {
    fn open(identifier: String) -> Self {
        let link = (!identifier.is_empty() && identifier != DEFAULT_LINK).then_some(identifier);
        Self { link, cursors: Vec::new() }
    }

    /// Whom `interface` calls for this bucket.
    pub(super) fn target(&self, targets: &Targets, interface: &str) -> OutboundTarget {
        match &self.link {
            Some(link) => Target::Link(link.clone()).with_contract(CONTRACT),
            None => targets.of(interface, CONTRACT),
        }
    }
}

/// The variant `error`.
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(variant)]
pub(super) enum Error {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSuchStore => Self::NoSuchStore,
            Failure::AccessDenied => Self::AccessDenied,
            Failure::Other(text) => Self::Other(text),
        }
    }
}

#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<u64>,
}

#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
struct KeyResponse2 {
    keys: Vec<String>,
    cursor: Option<String>,
}

pub(super) type Store<'a> = StoreContextMut<'a, ComponentState>;

/// What a function gives: its one result, with the error of the interface inside.
pub(super) type Outcome<R, E = Error> = wasmtime::Result<(Result<R, E>,)>;

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    let mut draft = linker.instance(&format!("{NAME}{DRAFT}"))?;
    add_common(&mut draft)?;
    draft.func_wrap_async("[method]bucket.list-keys", |store, arguments| Box::new(list_keys(store, arguments)))?;

    let mut draft2 = linker.instance(&format!("{NAME}{DRAFT2}"))?;
    add_common(&mut draft2)?;
    draft2.func_wrap_async("[method]bucket.list-keys", |store, arguments| Box::new(list_keys_2(store, arguments)))
}

fn add_common(store: &mut LinkerInstance<'_, ComponentState>) -> wasmtime::Result<()> {
    store.resource("bucket", ResourceType::host::<Bucket>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<Bucket>::new_own(rep))?;
        Ok(())
    })?;
    store.func_wrap("open", |mut store: Store<'_>, (identifier,): (String,)| {
        let bucket = store.data_mut().table.push(Bucket::open(identifier))?;
        Ok((Ok::<_, Error>(bucket),))
    })?;
    store.func_wrap_async("[method]bucket.get", |store, arguments| Box::new(get(store, arguments)))?;
    store.func_wrap_async("[method]bucket.set", |store, arguments| Box::new(set(store, arguments)))?;
    store.func_wrap_async("[method]bucket.delete", |store, arguments| Box::new(delete(store, arguments)))?;
    store.func_wrap_async("[method]bucket.exists", |store, arguments| Box::new(exists(store, arguments)))
}

impl ComponentState {
    /// Whom `interface` calls for a bucket of the guest.
    pub(super) fn bucket_target(&self, bucket: &Resource<Bucket>, interface: &str) -> wasmtime::Result<OutboundTarget> {
        Ok(self.table.get(bucket)?.target(&self.targets, interface))
    }
}

async fn get(mut store: Store<'_>, (bucket, key): (Resource<Bucket>, String)) -> Outcome<Option<Vec<u8>>> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let value = ask::get(state, target, &key)?.await;
    Ok((value.map_err(Error::from),))
}

async fn set(mut store: Store<'_>, (bucket, key, value): (Resource<Bucket>, String, Vec<u8>)) -> Outcome<()> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let done = ask::set(state, target, key, value)?.await;
    Ok((done.map_err(Error::from),))
}

async fn delete(mut store: Store<'_>, (bucket, key): (Resource<Bucket>, String)) -> Outcome<()> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let deleted = ask::delete(state, target, &key)?.await;
    Ok((deleted.map(drop).map_err(Error::from),))
}

async fn exists(mut store: Store<'_>, (bucket, key): (Resource<Bucket>, String)) -> Outcome<bool> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let exists = ask::exists(state, target, &key)?.await;
    Ok((exists.map_err(Error::from),))
}

async fn list_keys(mut store: Store<'_>, (bucket, cursor): (Resource<Bucket>, Option<u64>)) -> Outcome<KeyResponse> {
    let cursor = match cursor.map(|number| known_cursor(&store.data().table, &bucket, number)).transpose()? {
        Some(Err(failure)) => return Ok((Err(failure.into()),)),
        Some(Ok(cursor)) => Some(cursor),
        None => None,
    };
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let page = match ask::list_keys(state, target, cursor)?.await {
        Ok(page) => page,
        Err(failure) => return Ok((Err(failure.into()),)),
    };
    let cursors = &mut store.data_mut().table.get_mut(&bucket)?.cursors;
    let cursor = page.cursor.map(|cursor| {
        cursors.push(cursor);
        cursors.len() as u64
    });
    Ok((Ok(KeyResponse { keys: page.keys, cursor }),))
}

/// The cursor behind a number; numbers count from 1.
fn known_cursor(
    table: &ResourceTable,
    bucket: &Resource<Bucket>,
    number: u64,
) -> wasmtime::Result<Result<String, Failure>> {
    let cursors = &table.get(bucket)?.cursors;
    let cursor = usize::try_from(number).ok().and_then(|number| cursors.get(number.checked_sub(1)?));
    Ok(cursor.cloned().ok_or_else(|| Failure::Other(format!("`{number}` is no cursor of this bucket"))))
}

async fn list_keys_2(
    mut store: Store<'_>,
    (bucket, cursor): (Resource<Bucket>, Option<String>),
) -> Outcome<KeyResponse2> {
    let state = store.data_mut();
    let target = state.bucket_target(&bucket, NAME)?;
    let page = ask::list_keys(state, target, cursor)?.await;
    Ok((page.map(|page| KeyResponse2 { keys: page.keys, cursor: page.cursor }).map_err(Error::from),))
}
