//! One request inside of an instance of WASI 0.3, from its head to the last piece of its answer.

use http::{
    header,
    uri::{Authority, Scheme},
};
use tokio::sync::oneshot;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::{
    Error as HttpError, FieldMap, WasiHttpView,
    p3::{self, bindings},
};

use super::piece::{Pieces, pieces};
use crate::{
    component::{
        body::announced,
        request::{Request, bounded},
        state::ComponentState,
    },
    error::ended::unreadable,
};

/// The head of an answer, or the error the guest gives instead.
pub(in crate::component) type Head = Result<http::Response<Pieces>, String>;

/// One request, inside of the guest's instance, until its answer is out. Whether somebody has taken all of it.
pub(super) async fn answer(
    instance: &Accessor<ComponentState>,
    guest: &bindings::Service,
    request: Request,
    head: oneshot::Sender<Head>,
) -> wasmtime::Result<bool> {
    let request = instance.with(|mut store| incoming(store.data_mut(), request));
    match guest.handle(instance, request).await.map_err(unreadable)? {
        Ok(response) => {
            let (sent, is_sent) = oneshot::channel();
            // The guest may ask whether its answer was sent.
            let is_sent = async move { is_sent.await.map_err(|_| HttpError::ConnectionTerminated) };
            let response = instance.with(|store| response.into_http(store, is_sent))?;
            let (hand, pieces) = pieces();
            let (parts, body) = response.into_parts();
            let announced = announced(&parts.headers);
            if head.send(Ok(http::Response::from_parts(parts, pieces))).is_ok() {
                if !hand.over(body, announced).await {
                    return Ok(false);
                }
                // The guest need not be interested.
                let _ = sent.send(());
            }
        }
        Err(code) => {
            // Nobody waits for it any more only when the caller has gone.
            let _ = head.send(Err(code.to_string()));
        }
    }
    Ok(true)
}

/// The request as the guest's host functions want it. It names an authority.
fn incoming(state: &mut ComponentState, Request { request, max_body, clock }: Request) -> p3::Request {
    let (mut parts, body) = request.into_parts();
    let uri = std::mem::take(&mut parts.uri).into_parts();
    let named = parts.headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let (request, _taken) = p3::Request::new(
        parts.method,
        Some(uri.scheme.unwrap_or(Scheme::HTTP)),
        uri.authority.or(named),
        uri.path_and_query,
        FieldMap::new_immutable(state.http().hooks, parts.headers),
        None,
        bounded(body, max_body, clock),
    );
    request
}
