//! One operation of the contract, and what its failure means to a guest.
//!
//! Knows no interface. Invariant: the argument is counted and bounded before anything is sent.

use contracts::{
    CallError, codec,
    keyvalue::{
        COMPARE_AND_SWAP, CONTAINS, CompareAndSwapRequest, CompareAndSwapResponse, DEL, GET, GetResponse, INCREMENT,
        IncrementRequest, LIST_KEYS, ListKeysRequest, ListKeysResponse, SET, SetRequest, Value, is_extension,
    },
};

use crate::{
    call::{HasCall, outbound::OutboundTarget},
    component::state::ComponentState,
};

/// Most keys asked for at once.
const KEYS_PER_PAGE: u32 = 1000;

/// Why an operation has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No link of that name.
    NoSuchStore,
    /// Not granted.
    AccessDenied,
    /// Anything else, as a sentence.
    Other(String),
}

impl Failure {
    /// As a sentence, for interfaces that know nothing else.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::NoSuchStore => "the actor has no link of that name for `wasmcloud:keyvalue`".to_owned(),
            Self::AccessDenied => "the actor's signed claims do not grant `wasmcloud:keyvalue`".to_owned(),
            Self::Other(text) => text,
        }
    }

    fn of(operation: &str, binary: bool, error: CallError) -> Self {
        match error.code() {
            "not_linked" => Self::NoSuchStore,
            "not_granted" => Self::AccessDenied,
            "unsupported" if is_extension(operation) => Self::Other(format!(
                "the provider of this link does not handle `{operation}`, which 0.82 does not have"
            )),
            "reported" if is_extension(operation) => Self::Other(format!("`{operation}`: {error}")),
            "reported" if binary => {
                Self::Other(format!("the provider of this link did not take a value that is no UTF-8 text: {error}"))
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

/// What an operation comes to.
pub(super) trait Answer<R>: Future<Output = Result<R, Failure>> + Send + 'static {}

impl<R, F: Future<Output = Result<R, Failure>> + Send + 'static> Answer<R> for F {}

type Asked<A> = wasmtime::Result<A>;

/// Counts the operation with its encoded argument; what comes back is awaited without a borrow of the store.
fn ask<R: 'static>(
    state: &mut ComponentState,
    target: OutboundTarget,
    operation: &'static str,
    argument: Result<Vec<u8>, CallError>,
    binary: bool,
    decode: fn(&str, &[u8]) -> Result<R, CallError>,
) -> Asked<impl Answer<R> + use<R>> {
    let payload = argument.map_err(wasmtime::Error::new)?;
    let call = state.call();
    call.count_host_call(payload.len())?;
    let outgoing = call.outgoing();
    Ok(async move {
        let answer = outgoing.call(target, operation.to_owned(), payload.into()).await;
        let answer = answer.and_then(|result| decode(operation, &result));
        answer.map_err(|error| Failure::of(operation, binary, error))
    })
}

pub(super) fn get(
    state: &mut ComponentState,
    target: OutboundTarget,
    key: &str,
) -> Asked<impl Answer<Option<Vec<u8>>> + use<>> {
    ask(state, target, GET, codec::encode(key), false, |what, result| {
        let GetResponse { value, exists } = codec::decode(what, result)?;
        Ok(exists.then_some(value.0))
    })
}

pub(super) fn set(
    state: &mut ComponentState,
    target: OutboundTarget,
    key: String,
    value: Vec<u8>,
) -> Asked<impl Answer<()> + use<>> {
    let value = Value(value);
    let binary = value.as_text().is_none();
    ask(state, target, SET, codec::encode(&SetRequest { key, value, expires: 0 }), binary, codec::decode_unit)
}

/// Whether there was something to delete.
pub(super) fn delete(
    state: &mut ComponentState,
    target: OutboundTarget,
    key: &str,
) -> Asked<impl Answer<bool> + use<>> {
    ask(state, target, DEL, codec::encode(key), false, codec::decode)
}

pub(super) fn exists(
    state: &mut ComponentState,
    target: OutboundTarget,
    key: &str,
) -> Asked<impl Answer<bool> + use<>> {
    ask(state, target, CONTAINS, codec::encode(key), false, codec::decode)
}

pub(super) fn increment(
    state: &mut ComponentState,
    target: OutboundTarget,
    key: String,
    value: i64,
) -> Asked<impl Answer<i64> + use<>> {
    ask(state, target, INCREMENT, codec::encode(&IncrementRequest { key, value }), false, codec::decode)
}

pub(super) fn list_keys(
    state: &mut ComponentState,
    target: OutboundTarget,
    cursor: Option<String>,
) -> Asked<impl Answer<ListKeysResponse> + use<>> {
    ask(
        state,
        target,
        LIST_KEYS,
        codec::encode(&ListKeysRequest { cursor, limit: KEYS_PER_PAGE }),
        false,
        codec::decode,
    )
}

pub(super) fn compare_and_swap(
    state: &mut ComponentState,
    target: OutboundTarget,
    request: &CompareAndSwapRequest,
) -> Asked<impl Answer<CompareAndSwapResponse> + use<>> {
    ask(state, target, COMPARE_AND_SWAP, codec::encode(request), false, codec::decode)
}

/// What an unsigned number of a guest is in the contract.
pub(super) fn signed(delta: u64) -> Result<i64, Failure> {
    i64::try_from(delta).map_err(|_| Failure::Other(format!("`{delta}` is too large a number to add")))
}

/// What a number of the contract is to a guest that knows no sign.
pub(super) fn unsigned(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::Other(format!("the number is `{number}`, which has no unsigned form")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_what_its_code_says_whoever_reports_it() {
        let here = CallError::NotLinked { actor: "a".into(), contract: "c".into(), link_name: "l".into() };
        assert_eq!(Failure::of(GET, false, here), Failure::NoSuchStore);
        let there = CallError::from_wire(Some("not_granted"), "no".to_owned());
        assert_eq!(Failure::of(GET, false, there), Failure::AccessDenied);
    }

    #[test]
    fn operations_of_ours_are_named_where_a_provider_does_not_know_them() {
        let unsupported = CallError::Unsupported { target: "V".into(), operation: LIST_KEYS.into() };
        let text = Failure::of(LIST_KEYS, false, unsupported.clone()).into_text();
        assert!(text.contains(LIST_KEYS) && text.contains("0.82"), "{text}");
        assert_eq!(Failure::of(GET, false, unsupported.clone()), Failure::Other(unsupported.to_string()));
        let reported = CallError::Reported { message: "boom".into() };
        assert_eq!(Failure::of(COMPARE_AND_SWAP, false, reported).into_text(), "`KeyValue.CompareAndSwap`: boom");
    }

    #[test]
    fn numbers_keep_their_value_or_are_refused() {
        assert_eq!((signed(7), unsigned(7)), (Ok(7), Ok(7)));
        assert!(signed(u64::MAX).is_err());
        assert!(unsigned(-1).is_err());
    }
}
