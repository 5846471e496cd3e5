//! A call as a provider sees it: operation and argument parsed once, and the answer in the form of its operation.
//!
//! Knows no store. Invariant: a key that comes out of here is at most [`LONGEST_KEY`] bytes long.

use serde::Serialize;

use super::{
    COMPARE_AND_SWAP, CONTAINS, CompareAndSwapRequest, CompareAndSwapResponse, DEL, GET, GetResponse, INCREMENT,
    IncrementRequest, LIST_ADD, LIST_CLEAR, LIST_DEL, LIST_KEYS, LIST_RANGE, ListKeysRequest, ListKeysResponse,
    ListRangeRequest, ListValue, SET, SET_ADD, SET_CLEAR, SET_DEL, SET_INTERSECTION, SET_QUERY, SET_UNION, SetRequest,
    SetValue,
};
use crate::{CallError, codec};

/// Most bytes of a key, or of the name of a list or set.
pub const LONGEST_KEY: usize = 4096;
/// Most names in one union or intersection.
pub const MOST_NAMES: usize = 1024;

/// One operation with its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the constants of the operations say what each does")]
pub enum Request {
    Get(String),
    Set(SetRequest),
    Del(String),
    Contains(String),
    Increment(IncrementRequest),
    ListAdd(ListValue),
    ListRange(ListRangeRequest),
    ListDel(ListValue),
    ListClear(String),
    SetAdd(SetValue),
    SetDel(SetValue),
    SetQuery(String),
    SetUnion(Vec<String>),
    SetIntersection(Vec<String>),
    SetClear(String),
    ListKeys(ListKeysRequest),
    CompareAndSwap(CompareAndSwapRequest),
}

impl Request {
    /// Reads a call.
    ///
    /// # Errors
    /// [`CallError::Unsupported`] for an operation that is not of this contract, [`CallError::Malformed`] for an argument
    /// that is not the operation's, [`CallError::LimitExceeded`] for keys that are too long or too many.
    pub fn decode(operation: &str, argument: &[u8]) -> Result<Self, CallError> {
        let what = || format!("argument of `{operation}`");
        let request = match operation {
            GET => Self::Get(codec::decode(&what(), argument)?),
            SET => Self::Set(codec::decode(&what(), argument)?),
            DEL => Self::Del(codec::decode(&what(), argument)?),
            CONTAINS => Self::Contains(codec::decode(&what(), argument)?),
            INCREMENT => Self::Increment(codec::decode(&what(), argument)?),
            LIST_ADD => Self::ListAdd(codec::decode(&what(), argument)?),
            LIST_RANGE => Self::ListRange(codec::decode(&what(), argument)?),
            LIST_DEL => Self::ListDel(codec::decode(&what(), argument)?),
            LIST_CLEAR => Self::ListClear(codec::decode(&what(), argument)?),
            SET_ADD => Self::SetAdd(codec::decode(&what(), argument)?),
            SET_DEL => Self::SetDel(codec::decode(&what(), argument)?),
            SET_QUERY => Self::SetQuery(codec::decode(&what(), argument)?),
            SET_UNION => Self::SetUnion(codec::decode(&what(), argument)?),
            SET_INTERSECTION => Self::SetIntersection(codec::decode(&what(), argument)?),
            SET_CLEAR => Self::SetClear(codec::decode(&what(), argument)?),
            LIST_KEYS => Self::ListKeys(codec::decode(&what(), argument)?),
            COMPARE_AND_SWAP => Self::CompareAndSwap(codec::decode(&what(), argument)?),
            other => {
                let target = super::CONTRACT.to_owned();
                return Err(CallError::Unsupported { target, operation: other.to_owned() });
            }
        };
        request.check(operation)?;
        Ok(request)
    }

    fn check(&self, operation: &str) -> Result<(), CallError> {
        let names = self.names();
        if names.len() > MOST_NAMES {
            return Err(CallError::LimitExceeded { limit: format!("{MOST_NAMES} names in one `{operation}`") });
        }
        if names.iter().any(|name| name.len() > LONGEST_KEY) {
            return Err(CallError::LimitExceeded { limit: format!("{LONGEST_KEY} bytes of a key") });
        }
        if matches!(self, Self::ListKeys(request) if request.limit == 0) {
            let reason = "`limit` is at least 1".to_owned();
            return Err(CallError::Malformed { what: format!("argument of `{operation}`"), reason });
        }
        Ok(())
    }

    /// Keys and names it is about.
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Get(key)
            | Self::Del(key)
            | Self::Contains(key)
            | Self::ListClear(key)
            | Self::SetQuery(key)
            | Self::SetClear(key)
            | Self::Set(SetRequest { key, .. })
            | Self::Increment(IncrementRequest { key, .. })
            | Self::CompareAndSwap(CompareAndSwapRequest { key, .. })
            | Self::ListAdd(ListValue { list_name: key, .. })
            | Self::ListDel(ListValue { list_name: key, .. })
            | Self::ListRange(ListRangeRequest { list_name: key, .. })
            | Self::SetAdd(SetValue { set_name: key, .. })
            | Self::SetDel(SetValue { set_name: key, .. }) => vec![key],
            Self::SetUnion(names) | Self::SetIntersection(names) => names.iter().map(String::as_str).collect(),
            Self::ListKeys(_) => Vec::new(),
        }
    }

    /// Whether carrying it out twice leaves what carrying it out once does, with the same answer.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        matches!(
            self,
            Self::Get(_)
                | Self::Set(_)
                | Self::Contains(_)
                | Self::ListRange(_)
                | Self::SetQuery(_)
                | Self::SetUnion(_)
                | Self::SetIntersection(_)
                | Self::ListKeys(_)
        )
    }
}

/// The result of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of [`SET`].
    Nothing(()),
    /// Whether it was there.
    Bool(bool),
    /// Of [`INCREMENT`].
    Number(i64),
    /// How many.
    Count(u32),
    /// Members of a list or set.
    Texts(Vec<String>),
    /// Of [`GET`].
    Value(GetResponse),
    /// Of [`LIST_KEYS`].
    Keys(ListKeysResponse),
    /// Of [`COMPARE_AND_SWAP`].
    Swapped(CompareAndSwapResponse),
}

impl Answer {
    /// What there is under a key, or nothing.
    #[must_use]
    pub fn value(found: Option<Vec<u8>>) -> Self {
        Self::Value(GetResponse { exists: found.is_some(), value: found.unwrap_or_default().into() })
    }

    /// A count that the contract gives 32 bits.
    #[must_use]
    pub fn count(count: u64) -> Self {
        Self::Count(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// As it travels.
    ///
    /// # Errors
    /// [`CallError::HostFault`], which cannot happen for these types.
    pub fn encode(&self) -> Result<Vec<u8>, CallError> {
        codec::encode(self)
    }
}
