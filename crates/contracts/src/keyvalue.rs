//! `wasmcloud:keyvalue`: values, numbers, lists and sets by key (protocol section 7.6), and two operations of ours.
//!
//! Calls go from actor to provider. Invariant: whatever a peer of 0.82 sends is understood, and what it can understand is
//! sent as it expects; only what 0.82 has no form for looks different (`docs/adr/0006-keyvalue-extensions.md`).

mod request;
mod value;

use serde::{Deserialize, Serialize};

pub use request::{Answer, LONGEST_KEY, MOST_NAMES, Request};
pub use value::Value;

/// Contract id.
pub const CONTRACT: &str = "wasmcloud:keyvalue";

/// Key → [`GetResponse`].
pub const GET: &str = "KeyValue.Get";
/// [`SetRequest`] → nothing.
pub const SET: &str = "KeyValue.Set";
/// Key → whether there was something to remove.
pub const DEL: &str = "KeyValue.Del";
/// Key → bool.
pub const CONTAINS: &str = "KeyValue.Contains";
/// [`IncrementRequest`] → the new number.
pub const INCREMENT: &str = "KeyValue.Increment";
/// [`ListValue`] → the new length.
pub const LIST_ADD: &str = "KeyValue.ListAdd";
/// [`ListRangeRequest`] → values.
pub const LIST_RANGE: &str = "KeyValue.ListRange";
/// [`ListValue`] → whether it was there.
pub const LIST_DEL: &str = "KeyValue.ListDel";
/// Name of a list → whether there was something to remove.
pub const LIST_CLEAR: &str = "KeyValue.ListClear";
/// [`SetValue`] → how many were added.
pub const SET_ADD: &str = "KeyValue.SetAdd";
/// [`SetValue`] → how many were removed.
pub const SET_DEL: &str = "KeyValue.SetDel";
/// Name of a set → values.
pub const SET_QUERY: &str = "KeyValue.SetQuery";
/// Names of sets → values that are in any of them.
pub const SET_UNION: &str = "KeyValue.SetUnion";
/// Names of sets → values that are in all of them.
pub const SET_INTERSECTION: &str = "KeyValue.SetIntersection";
/// Name of a set → whether there was something to remove.
pub const SET_CLEAR: &str = "KeyValue.SetClear";

/// [`ListKeysRequest`] → [`ListKeysResponse`]. Ours; providers of 0.82 do not know it.
pub const LIST_KEYS: &str = "KeyValue.ListKeys";
/// [`CompareAndSwapRequest`] → [`CompareAndSwapResponse`]. Ours; providers of 0.82 do not know it.
pub const COMPARE_AND_SWAP: &str = "KeyValue.CompareAndSwap";

/// Whether an operation is an addition of ours.
#[must_use]
pub fn is_extension(operation: &str) -> bool {
    matches!(operation, LIST_KEYS | COMPARE_AND_SWAP)
}

/// Result of [`GET`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetResponse {
    /// The value, empty when there is none.
    #[serde(default)]
    pub value: Value,
    /// Whether there is one.
    pub exists: bool,
}

/// Argument of [`SET`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRequest {
    /// Key.
    pub key: String,
    /// What it becomes.
    pub value: Value,
    /// Seconds until it is gone; 0 for never.
    #[serde(default)]
    pub expires: u32,
}

/// Argument of [`INCREMENT`]. A key that is not there counts as 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncrementRequest {
    /// Key.
    pub key: String,
    /// What is added. Providers of 0.82 refuse what 32 bits cannot hold.
    pub value: i64,
}

/// Argument of [`LIST_ADD`] and [`LIST_DEL`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListValue {
    /// Name of the list.
    pub list_name: String,
    /// One value.
    pub value: String,
}

/// Argument of [`LIST_RANGE`]; both ends are included, negative ones count from the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListRangeRequest {
    /// Name of the list.
    pub list_name: String,
    /// First position, from 0.
    pub start: i32,
    /// Last position.
    pub stop: i32,
}

/// Argument of [`SET_ADD`] and [`SET_DEL`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetValue {
    /// Name of the set.
    pub set_name: String,
    /// One value.
    pub value: String,
}

/// Argument of [`LIST_KEYS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListKeysRequest {
    /// What the page before this one ended with; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most keys in the answer; the provider may give fewer.
    pub limit: u32,
}

/// Result of [`LIST_KEYS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListKeysResponse {
    /// One page, in no particular order.
    pub keys: Vec<String>,
    /// Asks for the next page; absent when nothing follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Argument of [`COMPARE_AND_SWAP`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareAndSwapRequest {
    /// Key.
    pub key: String,
    /// What the key must hold; absent when there must be nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// What it becomes then.
    pub value: Value,
}

/// Result of [`COMPARE_AND_SWAP`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareAndSwapResponse {
    /// Whether the key held what was expected, and now holds the new value.
    pub swapped: bool,
    /// What the key holds after the operation; absent when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Value>,
}
