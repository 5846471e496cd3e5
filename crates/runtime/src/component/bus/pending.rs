//! A call whose argument is written and whose result is read as a stream, while the guest does something else.
//!
//! Invariant: the call begins when the guest drops the stream of the argument, and ends with the instance at the latest;
//! argument and result hold no more bytes than those of any call.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{sync::oneshot, task::JoinHandle};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

/// How the call ended, for everybody who asks.
type Outcome = Shared<BoxFuture<'static, Result<Bytes, String>>>;

/// The resource `future-result`; dropping it abandons nothing that a stream still needs.
pub(super) struct FutureResult(Call);

/// The guest's end of the result.
pub(super) struct ResultStream {
    call: Call,
    rest: Option<Bytes>,
}

/// The guest's end of the argument.
pub(super) struct ArgumentStream {
    bytes: BytesMut,
    limit: usize,
    done: Option<oneshot::Sender<Bytes>>,
}

#[derive(Clone)]
struct Call {
    outcome: Outcome,
    _task: Arc<Stopped>,
}

/// Stops the task when nobody has a handle to the call any more.
struct Stopped(JoinHandle<()>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A call that `make` makes as soon as its argument, of at most `limit` bytes, is complete.
pub(super) fn call<F>(
    limit: usize,
    make: impl FnOnce(Bytes) -> F + Send + 'static,
) -> (FutureResult, ResultStream, ArgumentStream)
where
    F: Future<Output = Result<Bytes, String>> + Send,
{
    let (done, argument) = oneshot::channel();
    let (answer, answered) = oneshot::channel();
    // A task, so that several calls of one guest go on side by side whichever it waits for first.
    let task = tokio::spawn(async move {
        if let Ok(argument) = argument.await {
            // Nobody waits: the guest is over.
            let _ = answer.send(make(argument).await);
        }
    });
    let outcome = answered.map(|answer| answer.unwrap_or_else(|_| Err("the call was abandoned".to_owned())));
    let call = Call { outcome: outcome.boxed().shared(), _task: Arc::new(Stopped(task)) };
    let result = ResultStream { call: call.clone(), rest: None };
    (FutureResult(call), result, ArgumentStream { bytes: BytesMut::new(), limit, done: Some(done) })
}

impl FutureResult {
    /// How the call ended, if it has.
    pub(super) fn get(&self) -> Option<Result<(), String>> {
        Some(self.0.outcome.clone().now_or_never()?.map(drop))
    }
}

#[async_trait]
impl Pollable for FutureResult {
    async fn ready(&mut self) {
        let _ = self.0.outcome.clone().await;
    }
}

#[async_trait]
impl Pollable for ResultStream {
    async fn ready(&mut self) {
        let _ = self.call.outcome.clone().await;
    }
}

impl InputStream for ResultStream {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        if self.rest.is_none() {
            let Some(outcome) = self.call.outcome.clone().now_or_never() else { return Ok(Bytes::new()) };
            // What went wrong is the business of the future.
            self.rest = Some(outcome.unwrap_or_default());
        }
        let rest = self.rest.as_mut().expect("taken above");
        if rest.is_empty() {
            return Err(StreamError::Closed);
        }
        Ok(rest.split_to(size.min(rest.len())))
    }
}

impl OutputStream for ArgumentStream {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(StreamError::trap("more bytes written than were permitted"));
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        match self.limit - self.bytes.len() {
            0 => Err(StreamError::Closed),
            room => Ok(room),
        }
    }
}

#[async_trait]
impl Pollable for ArgumentStream {
    async fn ready(&mut self) {}
}

impl Drop for ArgumentStream {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            let _ = done.send(std::mem::take(&mut self.bytes).freeze());
        }
    }
}
