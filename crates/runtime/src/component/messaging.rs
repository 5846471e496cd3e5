//! `wasmcloud:messaging` over the contract of that name: the interface of 0.82, which has no version, and 0.2.0.
//!
//! Messages out go over the link; messages in reach a component that exports `handler`. Invariant: one message is one
//! call, counted and bounded as any other.

use contracts::{
    CallError, codec,
    messaging::{CONTRACT, PUBLISH, PubMessage, REQUEST, ReplyMessage, RequestMessage, SubMessage},
};
use wasmtime::{
    Store as OwnedStore, StoreContextMut,
    component::{ComponentExportIndex, ComponentType, Instance, Lift, Linker, Lower},
};

use super::{interface::Interface, state::ComponentState};
use crate::{call::HasCall, error::ended::unreadable};

/// What a component exports to get messages.
pub(super) const HANDLER: &str = "wasmcloud:messaging/handler";

const CONSUMER: &str = "wasmcloud:messaging/consumer";
const TYPES: &str = "wasmcloud:messaging/types";
const V02: &str = "@0.2.0";

/// What is linked here.
pub(super) const INTERFACES: &[Interface] = &[
    interface(TYPES, &["", V02], &[]),
    interface(CONSUMER, &[""], &["request", "request-multi", "publish"]),
    interface(CONSUMER, &[V02], &["request", "publish"]),
];

const fn interface(
    name: &'static str,
    versions: &'static [&'static str],
    functions: &'static [&'static str],
) -> Interface {
    Interface { name, versions, functions, needs: Some(CONTRACT) }
}

/// The record `broker-message` of 0.82.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct OldMessage {
    subject: String,
    body: Option<Vec<u8>>,
    #[component(name = "reply-to")]
    reply_to: Option<String>,
}

/// The record `broker-message` of 0.2.0.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct BrokerMessage {
    subject: String,
    body: Vec<u8>,
    #[component(name = "reply-to")]
    reply_to: Option<String>,
}

impl From<ReplyMessage> for BrokerMessage {
    fn from(ReplyMessage { subject, reply_to, body }: ReplyMessage) -> Self {
        Self { subject, body, reply_to }
    }
}

impl From<BrokerMessage> for OldMessage {
    fn from(BrokerMessage { subject, body, reply_to }: BrokerMessage) -> Self {
        Self { subject, body: Some(body), reply_to }
    }
}

impl BrokerMessage {
    /// The message in the argument of `MessageSubscriber.HandleMessage`.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, CallError> {
        let SubMessage { subject, reply_to, body } = codec::decode("message", payload)?;
        Ok(Self { subject, body, reply_to })
    }
}

type Store<'a> = StoreContextMut<'a, ComponentState>;
type Outcome<R> = wasmtime::Result<(Result<R, String>,)>;

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    // Nothing but types; a component that uses one of them imports the interface all the same.
    linker.instance(TYPES)?;
    linker.instance(&format!("{TYPES}{V02}"))?;

    let mut old = linker.instance(CONSUMER)?;
    old.func_wrap_async("request", |store, (subject, body, timeout_ms): (String, Option<Vec<u8>>, u32)| {
        Box::new(async move {
            let reply = request(store, subject, body.unwrap_or_default(), timeout_ms).await?;
            Ok((reply.map(OldMessage::from),))
        })
    })?;
    old.func_wrap_async("request-multi", |store, arguments| Box::new(request_multi(store, arguments)))?;
    old.func_wrap_async("publish", |store, (message,): (OldMessage,)| {
        let OldMessage { subject, body, reply_to } = message;
        Box::new(publish(store, PubMessage { subject, reply_to, body: body.unwrap_or_default() }))
    })?;

    let mut new = linker.instance(&format!("{CONSUMER}{V02}"))?;
    new.func_wrap_async("request", |store, (subject, body, timeout_ms): (String, Vec<u8>, u32)| {
        Box::new(async move { Ok((request(store, subject, body, timeout_ms).await?,)) })
    })?;
    new.func_wrap_async("publish", |store, (message,): (BrokerMessage,)| {
        let BrokerMessage { subject, body, reply_to } = message;
        Box::new(publish(store, PubMessage { subject, reply_to, body }))
    })
}

/// Counts the message and makes the call; the result is still encoded.
fn send(
    state: &mut ComponentState,
    operation: &'static str,
    argument: Result<Vec<u8>, CallError>,
) -> wasmtime::Result<impl Future<Output = Result<bytes::Bytes, CallError>> + Send + 'static + use<>> {
    let payload = argument.map_err(wasmtime::Error::new)?;
    let target = state.targets.of(CONSUMER, CONTRACT);
    let call = state.call();
    call.count_host_call(payload.len())?;
    Ok(call.outgoing().call(target, operation.to_owned(), payload.into()))
}

async fn request(
    mut store: Store<'_>,
    subject: String,
    body: Vec<u8>,
    timeout_ms: u32,
) -> wasmtime::Result<Result<BrokerMessage, String>> {
    let request = RequestMessage { subject, body, timeout_ms };
    let sent = send(store.data_mut(), REQUEST, codec::encode(&request))?;
    let reply = sent.await.and_then(|reply| codec::decode::<ReplyMessage>("reply", &reply));
    Ok(match reply {
        Ok(reply) if reply.is_none() => {
            Err(format!("nobody answered the request to `{:.200}` within {timeout_ms} ms", request.subject))
        }
        Ok(reply) => Ok(reply.into()),
        Err(error) => Err(error.to_string()),
    })
}

/// The contract knows one reply.
async fn request_multi(
    store: Store<'_>,
    (subject, body, timeout_ms, max_results): (String, Option<Vec<u8>>, u32, u32),
) -> Outcome<Vec<OldMessage>> {
    if max_results == 0 {
        return Ok((Ok(Vec::new()),));
    }
    let reply = request(store, subject, body.unwrap_or_default(), timeout_ms).await?;
    Ok((reply.map(|reply| vec![reply.into()]),))
}

async fn publish(mut store: Store<'_>, message: PubMessage) -> Outcome<()> {
    let sent = send(store.data_mut(), PUBLISH, codec::encode(&message))?;
    let done = sent.await.and_then(|result| codec::decode_unit("result", &result));
    Ok((done.map_err(|error| error.to_string()),))
}

/// Hands a message to the component.
pub(super) async fn handle(
    instance: &Instance,
    store: &mut OwnedStore<ComponentState>,
    handler: &ComponentExportIndex,
    message: BrokerMessage,
) -> wasmtime::Result<Result<(), String>> {
    let handle = instance.get_typed_func::<(BrokerMessage,), (Result<(), String>,)>(&mut *store, handler)?;
    Ok(handle.call_async(&mut *store, (message,)).await.map_err(unreadable)?.0)
}
