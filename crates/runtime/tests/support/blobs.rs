//! A blob store in memory that speaks the contract, as strictly as a provider of 0.82, and remembers what was done; and
//! what scripts need to use it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use contracts::{
    CallError,
    blobstore::{
        CONTAINER_EXISTS, CONTRACT, CREATE_CONTAINER, Chunk, ContainerMetadata, ContainerObject, GET_CONTAINER_INFO,
        GET_OBJECT, GET_OBJECT_INFO, GetObjectRequest, GetObjectResponse, ItemResult, LIST_OBJECTS, ListObjectsRequest,
        ListObjectsResponse, OBJECT_EXISTS, ObjectMetadata, PUT_CHUNK, PUT_OBJECT, PutChunkRequest, PutObjectRequest,
        PutObjectResponse, REMOVE_CONTAINERS, REMOVE_OBJECTS, RemoveObjectsRequest, Timestamp,
    },
    codec,
};
use runtime::{GuestLimits, OutboundCall};

use crate::{
    script::{Arg, Script, Slot, call_once, text},
    support::limits,
};

pub const VERSIONS: [&str; 2] = ["@0.1.0", "@0.2.0-draft"];
pub const DRAFT: &str = "@0.2.0-draft";
pub const STREAMS: &str = "wasi:io/streams@0.2.0";
pub const PIECE: usize = 256 << 10;

pub fn types(version: &str) -> String {
    format!("wasi:blobstore/types{version}")
}

pub fn container(version: &str) -> String {
    format!("wasi:blobstore/container{version}")
}

pub fn blobstore(version: &str) -> String {
    format!("wasi:blobstore/blobstore{version}")
}

/// A container's handle.
pub fn open(script: &mut Script, version: &str, name: &str) -> Arg {
    script.call(&blobstore(version), "get-container", &[text(name)]).at(4)
}

pub fn method(script: &mut Script, version: &str, name: &str, arguments: &[Arg]) -> Slot {
    script.call(&container(version), &format!("[method]container.{name}"), arguments)
}

/// Runs a script with the store granted and linked.
pub async fn run_with(script: Script, blobs: &Blobs, limits: GuestLimits) -> Result<Vec<Bytes>, CallError> {
    let guest = script.try_load(&[CONTRACT], limits).await.unwrap();
    let blobs = blobs.clone();
    call_once(&guest, "Test.Run", Bytes::new(), move |call| blobs.serve(&call)).await
}

pub async fn run(script: Script, blobs: &Blobs) -> Vec<Bytes> {
    run_with(script, blobs, limits()).await.unwrap()
}

/// When every container was made.
pub const CREATED: u64 = 1_700_000_000;

#[derive(Clone, Default)]
pub struct Blobs(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    containers: BTreeSet<String>,
    objects: BTreeMap<String, Vec<u8>>,
    /// Objects that are not complete yet, by stream.
    uploads: BTreeMap<String, (String, Vec<u8>)>,
    removed: BTreeSet<String>,
    operations: Vec<String>,
    largest: usize,
    room: Option<usize>,
}

type Answer = Result<Bytes, CallError>;

fn answer<T: serde::Serialize>(value: &T) -> Answer {
    codec::encode(value).map(Bytes::from)
}

fn argument<T: serde::de::DeserializeOwned>(call: &OutboundCall) -> T {
    codec::decode("argument", &call.payload).expect("a valid argument")
}

fn reported(message: &str) -> CallError {
    CallError::Reported { message: message.to_owned() }
}

impl Blobs {
    /// A container `c` with these objects.
    pub fn with(objects: &[(&str, &[u8])]) -> Self {
        let objects = objects.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let state = State { containers: ["c".to_owned()].into(), objects, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.state().objects.get(name).cloned()
    }

    /// How often an operation was called.
    pub fn operations(&self, name: &str) -> usize {
        self.state().operations.iter().filter(|operation| *operation == name).count()
    }

    /// The longest chunk that went in or out.
    pub fn largest(&self) -> usize {
        self.state().largest
    }

    /// Refuses chunks beyond so many bytes.
    pub fn fail_after(&self, bytes: usize) {
        self.state().room = Some(bytes);
    }

    /// Waits until what was begun of an object is removed.
    pub async fn removed(&self, name: &str) {
        let removed = async {
            while !self.state().removed.contains(name) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), removed).await.expect("it is removed");
    }

    pub fn serve(&self, call: &OutboundCall) -> Answer {
        let state = &mut *self.state();
        state.operations.push(call.operation.clone());
        match call.operation.as_str() {
            CREATE_CONTAINER => {
                state.containers.insert(argument(call));
                Ok(Bytes::new())
            }
            CONTAINER_EXISTS => answer(&state.containers.contains(&argument::<String>(call))),
            GET_CONTAINER_INFO => {
                let created_at = Some(Timestamp { sec: CREATED.cast_signed(), nsec: 0 });
                answer(&ContainerMetadata { container_id: argument(call), created_at })
            }
            REMOVE_CONTAINERS => {
                let names: Vec<String> = argument(call);
                let failed = names.into_iter().filter(|name| !state.containers.remove(name));
                answer(&failed.map(|name| failure(name, "no such container")).collect::<Vec<_>>())
            }
            OBJECT_EXISTS => answer(&state.objects.contains_key(&argument::<ContainerObject>(call).object_id)),
            GET_OBJECT_INFO => state.info(argument(call)),
            LIST_OBJECTS => state.list(argument(call)),
            REMOVE_OBJECTS => {
                let RemoveObjectsRequest { objects, .. } = argument(call);
                let (locked, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(|name| name == "locked");
                others.iter().for_each(|name| drop(state.objects.remove(name)));
                answer(&locked.into_iter().map(|name| failure(name, "it is locked")).collect::<Vec<_>>())
            }
            GET_OBJECT => state.get(argument(call)),
            PUT_OBJECT => state.put(argument(call)),
            PUT_CHUNK => state.put_chunk(argument(call)),
            other => Err(reported(other)),
        }
    }
}

fn failure(key: String, error: &str) -> ItemResult {
    ItemResult { key, success: false, error: Some(error.to_owned()) }
}

fn metadata(container_id: String, object_id: String, object: &[u8]) -> ObjectMetadata {
    ObjectMetadata { container_id, object_id, content_length: object.len() as u64, ..ObjectMetadata::default() }
}

impl State {
    fn info(&self, ContainerObject { container_id, object_id }: ContainerObject) -> Answer {
        let object = self.objects.get(&object_id).ok_or_else(|| reported("no such object"))?;
        answer(&metadata(container_id, object_id, object))
    }

    /// Pages of two, so that continuations matter.
    fn list(&self, ListObjectsRequest { container_id, continuation, .. }: ListObjectsRequest) -> Answer {
        let mut rest = self.objects.iter().filter(|(name, _)| Some(*name) > continuation.as_ref());
        let objects: Vec<_> =
            rest.by_ref().take(2).map(|(name, object)| metadata(container_id.clone(), name.clone(), object)).collect();
        let is_last = rest.next().is_none();
        let continuation = objects.last().filter(|_| !is_last).map(|object| object.object_id.clone());
        answer(&ListObjectsResponse { objects, is_last, continuation })
    }

    fn get(
        &mut self,
        GetObjectRequest { object_id, container_id, range_start, range_end }: GetObjectRequest,
    ) -> Answer {
        let object = self.objects.get_mut(&object_id).ok_or_else(|| reported("no such object"))?;
        let range = |at: Option<u64>| usize::try_from(at.expect("a range")).expect("small");
        let (start, end) = (range(range_start), range(range_end).saturating_add(1).min(object.len()));
        let bytes = object.get(start..end).unwrap_or_default().to_vec();
        if object_id == "shrinking" {
            object.truncate(end);
        }
        self.largest = self.largest.max(bytes.len());
        let chunk = Chunk { object_id, container_id, bytes, offset: start as u64, is_last: false };
        let content_length = (end - start.min(end)) as u64;
        answer(&GetObjectResponse { success: true, initial_chunk: Some(chunk), content_length, ..Default::default() })
    }

    fn put(&mut self, PutObjectRequest { chunk, .. }: PutObjectRequest) -> Answer {
        assert_eq!((chunk.offset, chunk.container_id.as_str()), (0, "c"));
        self.largest = self.largest.max(chunk.bytes.len());
        if chunk.is_last {
            self.objects.insert(chunk.object_id, chunk.bytes);
            return answer(&PutObjectResponse::default());
        }
        let stream_id = format!("stream of {}", chunk.object_id);
        self.uploads.insert(stream_id.clone(), (chunk.object_id, chunk.bytes));
        answer(&PutObjectResponse { stream_id: Some(stream_id) })
    }

    fn put_chunk(&mut self, PutChunkRequest { chunk, stream_id, cancel_and_remove }: PutChunkRequest) -> Answer {
        let stream_id = stream_id.expect("the stream of the first chunk");
        let (name, bytes) = self.uploads.get_mut(&stream_id).ok_or_else(|| reported("no such stream"))?;
        assert_eq!(*name, chunk.object_id);
        if cancel_and_remove {
            assert!(chunk.bytes.is_empty());
            self.removed.insert(name.clone());
            self.uploads.remove(&stream_id);
            return Ok(Bytes::from_static(b"\xc0"));
        }
        assert_eq!(chunk.offset, bytes.len() as u64, "chunks come in order");
        if self.room.is_some_and(|room| bytes.len() + chunk.bytes.len() > room) {
            return Err(reported("no space left"));
        }
        self.largest = self.largest.max(chunk.bytes.len());
        bytes.extend_from_slice(&chunk.bytes);
        if chunk.is_last {
            let (name, bytes) = self.uploads.remove(&stream_id).expect("found above");
            self.objects.insert(name, bytes);
        }
        Ok(Bytes::from_static(b"\xc0"))
    }
}
