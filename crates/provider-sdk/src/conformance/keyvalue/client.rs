//! The operations as functions, for one actor.

use std::sync::Arc;

use bytes::Bytes;
use claims::ActorId;
use contracts::{
    CallError,
    codec::{decode, decode_unit, encode},
    keyvalue::{
        COMPARE_AND_SWAP, CONTAINS, CompareAndSwapRequest, CompareAndSwapResponse, DEL, GET, GetResponse, INCREMENT,
        IncrementRequest, LIST_ADD, LIST_CLEAR, LIST_DEL, LIST_KEYS, LIST_RANGE, ListKeysRequest, ListKeysResponse,
        ListRangeRequest, ListValue, SET, SET_ADD, SET_CLEAR, SET_DEL, SET_INTERSECTION, SET_QUERY, SET_UNION,
        SetRequest, SetValue, Value,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::conformance::World;

/// What every function here returns: the result, or the error of the provider.
type Outcome<T> = Result<T, CallError>;

/// One actor and its way to the provider.
#[derive(Clone)]
#[expect(missing_docs, reason = "one function per operation; the contract says what each does")]
pub struct Client {
    pub world: Arc<dyn World>,
    pub actor: ActorId,
}

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "one function per operation; the contract says what each does"
)]
impl Client {
    /// A new actor.
    pub async fn new(world: &Arc<dyn World>) -> Self {
        Self { actor: world.actor().await, world: Arc::clone(world) }
    }

    /// A call whose argument may be anything.
    pub async fn raw(&self, operation: &str, argument: &[u8]) -> Outcome<Bytes> {
        self.world.call(&self.actor, operation, Bytes::copy_from_slice(argument)).await
    }

    async fn call<T: DeserializeOwned>(&self, operation: &str, argument: &(impl Serialize + ?Sized)) -> Outcome<T> {
        decode("result", &self.raw(operation, &encode(argument)?).await?)
    }

    pub async fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        let found: GetResponse = self.call(GET, key).await?;
        Ok(found.exists.then_some(found.value.0))
    }

    pub async fn set(&self, key: &str, value: impl Into<Value>) -> Outcome<()> {
        self.set_for(key, value, 0).await
    }

    pub async fn set_for(&self, key: &str, value: impl Into<Value>, expires: u32) -> Outcome<()> {
        let request = SetRequest { key: key.to_owned(), value: value.into(), expires };
        decode_unit("result", &self.raw(SET, &encode(&request)?).await?)
    }

    pub async fn del(&self, key: &str) -> Outcome<bool> {
        self.call(DEL, key).await
    }

    pub async fn contains(&self, key: &str) -> Outcome<bool> {
        self.call(CONTAINS, key).await
    }

    pub async fn increment(&self, key: &str, value: i64) -> Outcome<i64> {
        self.call(INCREMENT, &IncrementRequest { key: key.to_owned(), value }).await
    }

    pub async fn list_add(&self, list: &str, value: &str) -> Outcome<u32> {
        self.call(LIST_ADD, &ListValue { list_name: list.to_owned(), value: value.to_owned() }).await
    }

    pub async fn list_range(&self, list: &str, start: i32, stop: i32) -> Outcome<Vec<String>> {
        self.call(LIST_RANGE, &ListRangeRequest { list_name: list.to_owned(), start, stop }).await
    }

    pub async fn list_del(&self, list: &str, value: &str) -> Outcome<bool> {
        self.call(LIST_DEL, &ListValue { list_name: list.to_owned(), value: value.to_owned() }).await
    }

    pub async fn list_clear(&self, list: &str) -> Outcome<bool> {
        self.call(LIST_CLEAR, list).await
    }

    pub async fn set_add(&self, set: &str, value: &str) -> Outcome<u32> {
        self.call(SET_ADD, &SetValue { set_name: set.to_owned(), value: value.to_owned() }).await
    }

    pub async fn set_del(&self, set: &str, value: &str) -> Outcome<u32> {
        self.call(SET_DEL, &SetValue { set_name: set.to_owned(), value: value.to_owned() }).await
    }

    /// Members, sorted.
    pub async fn set_query(&self, set: &str) -> Outcome<Vec<String>> {
        self.call(SET_QUERY, set).await.map(sorted)
    }

    /// Members, sorted.
    pub async fn set_union(&self, sets: &[&str]) -> Outcome<Vec<String>> {
        self.call(SET_UNION, sets).await.map(sorted)
    }

    /// Members, sorted.
    pub async fn set_intersection(&self, sets: &[&str]) -> Outcome<Vec<String>> {
        self.call(SET_INTERSECTION, sets).await.map(sorted)
    }

    pub async fn set_clear(&self, set: &str) -> Outcome<bool> {
        self.call(SET_CLEAR, set).await
    }

    pub async fn list_keys(&self, cursor: Option<String>, limit: u32) -> Outcome<ListKeysResponse> {
        self.call(LIST_KEYS, &ListKeysRequest { cursor, limit }).await
    }

    pub async fn swap(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: impl Into<Value>,
    ) -> Outcome<CompareAndSwapResponse> {
        let expected = expected.map(|bytes| Value(bytes.to_vec()));
        self.call(COMPARE_AND_SWAP, &CompareAndSwapRequest { key: key.to_owned(), expected, value: value.into() }).await
    }
}

fn sorted(mut members: Vec<String>) -> Vec<String> {
    members.sort();
    members
}

/// The code of an error.
pub fn code<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
    outcome.expect_err("an error").code().to_owned()
}

/// Text as `get` returns it.
pub fn text(text: &str) -> Outcome<Option<Vec<u8>>> {
    Ok(Some(text.as_bytes().to_vec()))
}
