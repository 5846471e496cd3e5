//! HTTP out of a component: `wasi:http/outgoing-handler`, and `wasi:http/client` of WASI 0.3, over the `wasmcloud:httpclient` contract (protocol sections 6.3
//! and 7.6).
//!
//! The contract knows messages, no streams: the body of a request is collected before it is sent, the answer arrives
//! whole. Which headers a guest may not set is left to the crate that implements `wasi:http`. Invariant: without grant
//! and link no request leaves, the guest learns why it failed by a typed error, and the log says what was denied.

use std::time::Duration;

use bytes::Bytes;
use contracts::{
    CallError,
    httpclient::{CONTRACT, REQUEST, decode_response, encode_request},
};
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

use super::targets::Targets;
use crate::{
    actor::logs::{Level, Logs},
    call::{CallState, outbound::OutboundTarget, outgoing::Outgoing},
};

const INTERFACE: &str = "wasi:http/outgoing-handler";

/// Requests out of a guest, for the length of one call.
pub(super) struct OutgoingHttp {
    /// None where every request is denied.
    way: Option<Way>,
    /// Whom the guest has chosen; kept up to date by whoever hands this out.
    pub(super) targets: Targets,
}

/// How requests leave.
#[derive(Clone)]
struct Way {
    logs: Logs,
    outgoing: Outgoing,
}

/// Bytes of a body that the host holds in one piece, of a guest of WASI 0.3.
const PIECE: usize = 64 << 10;

type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>), HttpError>;

impl OutgoingHttp {
    pub(super) fn new(call: &mut CallState) -> Self {
        let way = Way { logs: call.logs().clone(), outgoing: call.outgoing() };
        Self { way: Some(way), targets: Targets::default() }
    }

    /// For a program without a lattice, which has no link that a request could take. It is linked all the same, because
    /// language runtimes import it unasked.
    pub(super) fn denied() -> Self {
        Self { way: None, targets: Targets::default() }
    }
}

impl WasiHttpHooks for OutgoingHttp {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _errors: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let Some(way) = self.way.clone() else { return Box::new(async { Err(HttpError::HttpRequestDenied) }) };
        let exchange = Exchange {
            way,
            target: self.targets.of(INTERFACE, CONTRACT),
            time: options.and_then(|options| answer_time(&options)),
        };
        Box::new(exchange.run(request))
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }
}

/// The answer comes as a whole, so there is no time between its bytes, and nothing is known of the connection but that
/// it comes first.
fn answer_time(options: &RequestOptions) -> Option<Duration> {
    let first_byte = options.first_byte_timeout?;
    Some(first_byte.saturating_add(options.connect_timeout.unwrap_or_default()))
}

struct Exchange {
    way: Way,
    target: OutboundTarget,
    time: Option<Duration>,
}

impl Exchange {
    async fn run(self, request: http::Request<WasiBody>) -> Sent {
        let authority = request.uri().authority().map_or("", |authority| authority.as_str()).to_owned();
        let answer = match self.exchange(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain(&authority, error)),
        };
        let response = answer.map(|body| body.map_err(|never| match never {}).boxed_unsync());
        Ok((response, Box::new(async { Ok(()) })))
    }

    async fn exchange(&self, request: http::Request<WasiBody>) -> Result<http::Response<Full<Bytes>>, Failed> {
        let identity = &self.way.outgoing.actor().identity;
        if matches!(self.target, OutboundTarget::Link { .. }) && !identity.grants.contains(CONTRACT) {
            let (caller, contract) = (identity.id.as_str().to_owned(), CONTRACT.to_owned());
            return Err(Failed::Answer(CallError::NotGranted { caller, contract }));
        }
        let limit = u64::from(self.way.outgoing.actor().limits.payload_bytes);
        let request = request.map(|body| body.map_err(|error| error.to_string().into()).boxed_unsync());
        let message = encode_request(request, limit).await.map_err(|error| Failed::Request { error, limit })?;
        self.way.outgoing.count(message.len()).map_err(|breach| Failed::Limit(breach.to_string()))?;
        let answer = self.way.outgoing.clone().call(self.target.clone(), REQUEST.to_owned(), message);
        let answer = match self.time {
            Some(time) => timeout(time, answer).await.map_err(|_| Failed::Time)?,
            None => answer.await,
        };
        answer.and_then(|message| decode_response(&message)).map_err(Failed::Answer)
    }

    /// What the guest is told, and for what was denied the log as well.
    fn explain(&self, authority: &str, failed: Failed) -> HttpError {
        let error = match failed {
            Failed::Time => return HttpError::ConnectionReadTimeout,
            Failed::Limit(text) => return HttpError::InternalError(Some(text)),
            Failed::Request { error: CallError::LimitExceeded { .. }, limit } => {
                return HttpError::HttpRequestBodySize(Some(limit));
            }
            Failed::Request { error, .. } => return HttpError::InternalError(Some(error.to_string())),
            Failed::Answer(error) => error,
        };
        match error.code() {
            "not_granted" | "not_linked" | "unauthorized" => {
                let text = format!("outgoing HTTP request to `{authority}` denied: {error}");
                self.way.logs.line(Level::Warn, "wasi:http", &text);
                HttpError::HttpRequestDenied
            }
            "deadline_exceeded" => HttpError::HttpResponseTimeout,
            "limit_exceeded" => HttpError::HttpResponseBodySize(None),
            "busy" => HttpError::ConnectionLimitReached,
            "unreachable" | "not_running" | "unknown_actor" => HttpError::DestinationUnavailable,
            "malformed" => HttpError::HttpProtocolError,
            "unsupported" => HttpError::ConfigurationError,
            _ => HttpError::InternalError(Some(error.to_string())),
        }
    }
}

/// Why there is no answer.
enum Failed {
    /// The guest's own request; `limit` is what its body may have.
    Request { error: CallError, limit: u64 },
    /// The guest may make no more calls, or none of that size.
    Limit(String),
    /// The guest wanted to wait no longer.
    Time,
    /// Whoever was asked.
    Answer(CallError),
}
