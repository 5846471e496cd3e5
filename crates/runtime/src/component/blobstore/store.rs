//! The operations of `wasmcloud:blobstore`, as the interfaces need them.
//!
//! Knows no resources of guests. Invariant: one piece is in memory at a time, whatever the size of the object, and what
//! a provider answers is checked against what it was asked.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use contracts::{
    CallError,
    blobstore::{
        CONTAINER_EXISTS, CREATE_CONTAINER, Chunk, ContainerMetadata, ContainerObject, GET_CONTAINER_INFO, GET_OBJECT,
        GET_OBJECT_INFO, GetObjectRequest, GetObjectResponse, ItemResult, LIST_OBJECTS, ListObjectsRequest,
        ListObjectsResponse, OBJECT_EXISTS, ObjectMetadata, PUT_CHUNK, PUT_OBJECT, PutChunkRequest, PutObjectRequest,
        PutObjectResponse, REMOVE_CONTAINERS, REMOVE_OBJECTS, RemoveObjectsRequest,
    },
    codec,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    call::{outbound::OutboundTarget, outgoing::Outgoing},
    error::ended::Breach,
};

/// Bytes of an object per call: few enough for a broker, and for any provider to answer with one chunk.
const PIECE_BYTES: usize = 256 << 10;
/// Objects per page of a list.
const PAGE_ITEMS: u32 = 1000;
/// Reasons that are shown when several items could not be removed.
const REASONS: usize = 3;

/// Why an operation has no result.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    /// Ends the guest.
    Breach(Breach),
    /// Is told to the guest.
    Error(String),
}

impl Refusal {
    pub(super) fn text(text: &str) -> Self {
        Self::Error(text.to_owned())
    }
}

impl From<Breach> for Refusal {
    fn from(breach: Breach) -> Self {
        Self::Breach(breach)
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Error(error.to_string())
    }
}

/// What became of an operation.
pub(super) type Outcome<T> = Result<T, Refusal>;
/// An operation that was started, to be kept until it ends.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send>>;

/// One store, as a link or an actor serves it.
#[derive(Clone)]
pub(super) struct Store {
    out: Outgoing,
    target: OutboundTarget,
}

impl Store {
    pub(super) fn new(out: Outgoing, target: OutboundTarget) -> Self {
        Self { out, target }
    }

    /// The same store for cleaning up when the call is over.
    pub(super) fn afterwards(&self, time: Duration) -> Self {
        Self { out: self.out.afterwards(time), target: self.target.clone() }
    }

    /// Bytes that are read or written by one call; half of what the actor may, because there are names beside them.
    pub(super) fn piece(&self) -> usize {
        let limits = &self.out.actor().limits;
        let most = limits.payload_bytes.min(limits.response_bytes) as usize;
        PIECE_BYTES.min(most / 2).max(1)
    }

    /// Largest value that is handed over as a whole.
    pub(super) fn value_bytes(&self) -> u64 {
        u64::from(self.out.actor().limits.response_bytes)
    }

    pub(super) async fn create_container(&self, name: &str) -> Outcome<()> {
        self.tell(CREATE_CONTAINER, name).await
    }

    pub(super) async fn container_exists(&self, name: &str) -> Outcome<bool> {
        self.ask(CONTAINER_EXISTS, name).await
    }

    pub(super) async fn container_info(&self, name: &str) -> Outcome<ContainerMetadata> {
        self.ask(GET_CONTAINER_INFO, name).await
    }

    pub(super) async fn remove_container(&self, name: &str) -> Outcome<()> {
        removed(self.ask(REMOVE_CONTAINERS, &[name]).await?)
    }

    pub(super) async fn object_exists(&self, container: &str, object: &str) -> Outcome<bool> {
        self.ask(OBJECT_EXISTS, &named(container, object)).await
    }

    pub(super) async fn object_info(&self, container: &str, object: &str) -> Outcome<ObjectMetadata> {
        self.ask(GET_OBJECT_INFO, &named(container, object)).await
    }

    pub(super) async fn remove_objects(&self, container: &str, objects: Vec<String>) -> Outcome<()> {
        let request = RemoveObjectsRequest { container_id: container.to_owned(), objects };
        removed(self.ask(REMOVE_OBJECTS, &request).await?)
    }

    /// A page of the container's list, from its beginning or from where another page ended.
    pub(super) async fn list(&self, container: &str, continuation: Option<String>) -> Outcome<ListObjectsResponse> {
        let request = ListObjectsRequest {
            container_id: container.to_owned(),
            continuation,
            max_items: Some(PAGE_ITEMS),
            ..ListObjectsRequest::default()
        };
        self.ask(LIST_OBJECTS, &request).await
    }

    /// `len` bytes of an object, or fewer but at least one.
    pub(super) fn get(&self, container: &str, object: &str, start: u64, len: usize) -> Pending<Bytes> {
        let request = GetObjectRequest {
            object_id: object.to_owned(),
            container_id: container.to_owned(),
            range_start: Some(start),
            range_end: Some(start + len.max(1) as u64 - 1),
        };
        let answer = self.ask::<_, GetObjectResponse>(GET_OBJECT, &request);
        Box::pin(async move {
            let answer = answer.await?;
            if !answer.success {
                let reason = answer.error.unwrap_or_else(|| "the provider does not say why".to_owned());
                return Err(Refusal::Error(format!("cannot read `{}`: {reason}", request.object_id)));
            }
            let Some(chunk) = answer.initial_chunk else { return Err(amiss("it has no chunk")) };
            if chunk.object_id != request.object_id || chunk.container_id != request.container_id {
                return Err(amiss("its chunk is of another object"));
            }
            match chunk.bytes.len() {
                0 => Err(amiss("its chunk is empty, the object may have become shorter")),
                got if got > len => Err(amiss("its chunk is longer than asked for")),
                _ => Ok(chunk.bytes.into()),
            }
        })
    }

    /// Replaces an object by its first piece; says to what stream the others belong.
    pub(super) fn put(&self, chunk: Chunk) -> Pending<Option<String>> {
        let request = PutObjectRequest { chunk, ..PutObjectRequest::default() };
        let answer = self.ask::<_, PutObjectResponse>(PUT_OBJECT, &request);
        Box::pin(async move { Ok(answer.await?.stream_id) })
    }

    /// Appends a piece, or, with `cancel`, removes what was written.
    pub(super) fn put_chunk(&self, chunk: Chunk, stream_id: Option<String>, cancel: bool) -> Pending<()> {
        let request = PutChunkRequest { chunk, stream_id, cancel_and_remove: cancel };
        Box::pin(self.tell(PUT_CHUNK, &request))
    }

    fn ask<A: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        operation: &'static str,
        argument: &A,
    ) -> impl Future<Output = Outcome<R>> + Send + use<A, R> {
        let answer = self.send(operation, argument);
        async move { Ok(codec::decode(operation, &answer.await?)?) }
    }

    fn tell<A: Serialize + ?Sized>(
        &self,
        operation: &'static str,
        argument: &A,
    ) -> impl Future<Output = Outcome<()>> + Send + use<A> {
        let answer = self.send(operation, argument);
        async move { Ok(codec::decode_unit(operation, &answer.await?)?) }
    }

    fn send<A: Serialize + ?Sized>(
        &self,
        operation: &'static str,
        argument: &A,
    ) -> impl Future<Output = Outcome<Bytes>> + Send + use<A> {
        let call = codec::encode(argument).map_err(Refusal::from).and_then(|payload| {
            self.out.count(payload.len())?;
            Ok(self.out.clone().call(self.target.clone(), operation.to_owned(), payload.into()))
        });
        async move { Ok(call?.await?) }
    }
}

fn named(container: &str, object: &str) -> ContainerObject {
    ContainerObject { container_id: container.to_owned(), object_id: object.to_owned() }
}

fn amiss(reason: &str) -> Refusal {
    CallError::Malformed { what: GET_OBJECT.to_owned(), reason: reason.to_owned() }.into()
}

/// Providers answer with what could not be removed.
fn removed(items: Vec<ItemResult>) -> Outcome<()> {
    let reason = |item: &ItemResult| {
        let reason = item.error.as_deref().unwrap_or("the provider does not say why");
        format!("`{}`: {reason}", item.key)
    };
    let failed: Vec<String> = items.iter().filter(|item| !item.success).map(reason).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let shown = failed.iter().take(REASONS).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = failed.len().saturating_sub(REASONS);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Err(Refusal::Error(format!("cannot remove {shown}{more}")))
}
