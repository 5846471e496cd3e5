//! HTTP into a component as a stream: `wasi:http/handler` of WASI 0.3.
//!
//! Like its older form the guest runs in a task of its own that belongs to the answer's body. Invariant: no guest
//! outlives its deadline or an answer nobody reads any more; its instance is kept for another call only when nothing of
//! this one is left in it.

use std::{future::poll_fn, sync::Arc};

use contracts::{CallError, httpserver::HANDLE_REQUEST};
use http::{
    header,
    uri::{Authority, Scheme},
};
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, Component, InstancePre};
use wasmtime_wasi_http::{
    Error as HttpError, FieldMap, WasiHttpView,
    p3::{
        self,
        bindings::{self, ServicePre},
    },
};

use super::{
    piece::{Pieces, pieces},
    shared::Sharing,
};
use crate::{
    CallContext, LoadError,
    call::{Actor, HasCall},
    component::{
        ComponentGuest, ComponentState,
        body::announced,
        entry_point,
        http::{Request, bounded},
        reuse::Place,
        reuse::Waiting,
    },
    error::unreadable,
    guest::Admitted,
    idle::Idle,
    runtime::Places,
};

/// The interface a component exports to be asked this way.
const HANDLER: &str = "wasi:http/handler";

/// The entry point of a component that exports it, and its instances between two calls.
pub(in crate::component) struct Service {
    pub(super) pre: ServicePre<ComponentState>,
    pub(super) idle: Waiting<bindings::Service>,
    sharing: Option<Sharing>,
}

/// The head of an answer, or the error the guest gives instead.
pub(in crate::component) type Head = Result<http::Response<Pieces>, String>;

impl Service {
    /// None for a component that does not export it.
    pub(in crate::component) fn of(
        pre: &InstancePre<ComponentState>,
        component: &Component,
        actor: &Actor,
        places: &Places,
    ) -> Result<Option<Self>, LoadError> {
        if super::function(pre.engine(), component, HANDLER, "handle").is_none() {
            return Ok(None);
        }
        let pre = ServicePre::new(pre.clone()).map_err(|error| entry_point(&error))?;
        let (idle, sharing) = (Idle::new(&actor.limits, &places.idle), Sharing::of(&actor.limits));
        Ok(Some(Self { pre, idle, sharing }))
    }
}

impl ComponentGuest {
    /// Runs the guest until it has answered and, if it is not shared, come to its end.
    pub(in crate::component) async fn serve(
        self: Arc<Self>,
        actor: Arc<Actor>,
        (request, head): (Request, oneshot::Sender<Head>),
        context: CallContext,
        admitted: Arc<Admitted>,
    ) -> Result<(), CallError> {
        let service = self.service.as_ref().expect("only a service is served by");
        if let Some(sharing) = &service.sharing {
            return self.serve_beside_others(sharing, &actor, (request, head), context, &admitted).await;
        }
        let mut place = self.place(&service.idle, context, |context| ComponentState::new(&actor, context));
        let Place { store, instance, .. } = &mut place;
        store.data_mut().call().follow(&request.clock);
        let run = async {
            let guest = match instance {
                Some(guest) => guest,
                None => instance.insert(service.pre.instantiate_async(&mut *store).await?),
            };
            let run = store.run_concurrent(async |instance| {
                answer(instance, guest, request, head).await?;
                // A guest may go on after its answer.
                poll_fn(|cx| instance.poll_no_interesting_tasks(cx)).await;
                Ok(())
            });
            run.await?
        };
        match run.await {
            Ok(()) => {
                place.park(&service.idle);
                Ok(())
            }
            Err(error) => Err(self.failed(&error, place.store.data_mut().call(), HANDLE_REQUEST)),
        }
    }
}

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
