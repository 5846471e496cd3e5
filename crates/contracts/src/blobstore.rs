//! `wasmcloud:blobstore`: containers of objects, read by ranges and written in chunks (protocol section 7.6).
//!
//! Invariant: a member that is absent is not encoded, and `nil` in its place is understood; both kinds of peers exist.

use serde::{Deserialize, Serialize};

/// Contract id.
pub const CONTRACT: &str = "wasmcloud:blobstore";

/// Name → nothing.
pub const CREATE_CONTAINER: &str = "Blobstore.CreateContainer";
/// Name → bool.
pub const CONTAINER_EXISTS: &str = "Blobstore.ContainerExists";
/// Name → [`ContainerMetadata`].
pub const GET_CONTAINER_INFO: &str = "Blobstore.GetContainerInfo";
/// Nothing → list of [`ContainerMetadata`].
pub const LIST_CONTAINERS: &str = "Blobstore.ListContainers";
/// List of names → [`ItemResult`] of each that could not be removed.
pub const REMOVE_CONTAINERS: &str = "Blobstore.RemoveContainers";
/// [`ContainerObject`] → bool.
pub const OBJECT_EXISTS: &str = "Blobstore.ObjectExists";
/// [`ContainerObject`] → [`ObjectMetadata`].
pub const GET_OBJECT_INFO: &str = "Blobstore.GetObjectInfo";
/// [`ListObjectsRequest`] → [`ListObjectsResponse`].
pub const LIST_OBJECTS: &str = "Blobstore.ListObjects";
/// [`RemoveObjectsRequest`] → [`ItemResult`] of each that could not be removed.
pub const REMOVE_OBJECTS: &str = "Blobstore.RemoveObjects";
/// [`PutObjectRequest`] → [`PutObjectResponse`].
pub const PUT_OBJECT: &str = "Blobstore.PutObject";
/// [`PutChunkRequest`] → nothing.
pub const PUT_CHUNK: &str = "Blobstore.PutChunk";
/// [`GetObjectRequest`] → [`GetObjectResponse`].
pub const GET_OBJECT: &str = "Blobstore.GetObject";
/// [`Chunk`] → [`ChunkResponse`]; the one operation from provider to actor.
pub const RECEIVE_CHUNK: &str = "ChunkReceiver.ReceiveChunk";

/// A moment, counted from 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds; peers have it with and without a sign.
    pub sec: i64,
    /// Nanoseconds within the second.
    #[serde(default)]
    pub nsec: u32,
}

/// Names an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerObject {
    /// Container.
    pub container_id: String,
    /// Object within it.
    pub object_id: String,
}

/// What is known of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerMetadata {
    /// Its name.
    pub container_id: String,
    /// When it was made, where the store knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

/// What is known of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMetadata {
    /// Container.
    pub container_id: String,
    /// Object within it.
    pub object_id: String,
    /// Bytes.
    pub content_length: u64,
    /// When it was last written, where the store knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
    /// Media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Encoding, as in the header of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
}

/// Argument of [`LIST_OBJECTS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListObjectsRequest {
    /// Container.
    pub container_id: String,
    /// Only names that begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_with: Option<String>,
    /// What the page before this one ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation: Option<String>,
    /// Last name of interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_with: Option<String>,
    /// First name that is of no interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_before: Option<String>,
    /// Most objects in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u32>,
}

/// Result of [`LIST_OBJECTS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListObjectsResponse {
    /// One page.
    pub objects: Vec<ObjectMetadata>,
    /// Whether nothing follows.
    pub is_last: bool,
    /// Asks for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation: Option<String>,
}

/// Argument of [`REMOVE_OBJECTS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveObjectsRequest {
    /// Container.
    pub container_id: String,
    /// Objects within it.
    pub objects: Vec<String>,
}

/// What became of one item of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// Name of the item.
    pub key: String,
    /// Stores answer with failures only, so this is false.
    pub success: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A piece of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// Object.
    pub object_id: String,
    /// Its container.
    pub container_id: String,
    /// The piece.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// Where in the object it begins.
    pub offset: u64,
    /// Whether it reaches to the end of the object.
    pub is_last: bool,
}

/// Argument of [`PUT_OBJECT`]: replaces an object, or begins to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutObjectRequest {
    /// The first piece; more follow by [`PUT_CHUNK`] unless it is the last.
    pub chunk: Chunk,
    /// Media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Encoding, as in the header of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
}

/// Result of [`PUT_OBJECT`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutObjectResponse {
    /// Says to which object further chunks belong; set where chunks are to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<String>,
}

/// Argument of [`PUT_CHUNK`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutChunkRequest {
    /// The piece.
    pub chunk: Chunk,
    /// As [`PutObjectResponse`] said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<String>,
    /// Gives up: what was written so far is to be removed, the piece is empty.
    #[serde(default)]
    pub cancel_and_remove: bool,
}

/// Argument of [`GET_OBJECT`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetObjectRequest {
    /// Object.
    pub object_id: String,
    /// Its container.
    pub container_id: String,
    /// First byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_start: Option<u64>,
    /// Last byte, which is part of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<u64>,
}

/// Result of [`GET_OBJECT`]. That there is no such object is said here, not by a failed call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetObjectResponse {
    /// Whether the object could be read.
    pub success: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The piece that was asked for; a store with smaller pieces sends the rest by [`RECEIVE_CHUNK`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_chunk: Option<Chunk>,
    /// Bytes of the range.
    #[serde(default)]
    pub content_length: u64,
    /// Media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Encoding, as in the header of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
}

/// Result of [`RECEIVE_CHUNK`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChunkResponse {
    /// Whether no more chunks are wanted.
    #[serde(default)]
    pub cancel_download: bool,
}
