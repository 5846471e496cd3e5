//! The host as the HTTP server sees it: one actor, which answers every request.
//!
//! Invariant: whatever goes wrong in a request is said once, also after the head of the answer is out.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use claims::ActorId;
use contracts::{CallError, TraceContext};
use http_body_util::BodyExt as _;
use provider_sdk::Actors;
use runtime::{CallContext, Denied, Guest, HttpBody};

use crate::output::Printer;

/// One loaded component.
pub struct OneActor {
    guest: Guest,
    printer: Printer,
}

impl OneActor {
    /// Says on `printer` what goes wrong.
    pub fn new(guest: Guest, printer: Printer) -> Self {
        Self { guest, printer }
    }
}

#[async_trait]
impl Actors for OneActor {
    async fn call(
        &self,
        actor: &ActorId,
        operation: &str,
        _payload: Bytes,
        _deadline: Instant,
        _trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        Err(CallError::Unsupported { target: actor.to_string(), operation: operation.to_owned() })
    }

    async fn handle_http(
        &self,
        _actor: &ActorId,
        request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let began = Instant::now();
        let what = format!("{} {}", request.method(), request.uri());
        let context = CallContext { deadline, trace: TraceContext::default(), outbound: Arc::new(Denied) };
        match self.guest.handle_http(request, max_body, context).await {
            Ok(response) => {
                let status = response.status();
                self.printer.detail(|| format!("{what}: {status} after {} ms", began.elapsed().as_millis()));
                let printer = self.printer.clone();
                Ok(response.map(|body| {
                    body.map_err(move |error| {
                        printer.note(format!("{what}: the answer broke off: {error}"));
                        error
                    })
                    .boxed_unsync()
                }))
            }
            Err(error) => {
                self.printer.note(format!("{what}: {error}"));
                Err(error)
            }
        }
    }
}
