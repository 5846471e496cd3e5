//! Spans: what a call went through in this process, and how the next hop learns of it.
//!
//! Off unless an endpoint is set; then a call's trace context passes through as it came. On, each hop continues the trace
//! of its caller, or begins one. Invariant: a span never makes a call wait: where the exporter is behind, the span is
//! dropped and counted.
#![forbid(unsafe_code)]

mod export;
mod exporting;
pub mod headers;
mod otlp;

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use contracts::{CallError, TraceContext, TraceParent, http_message};
use tokio::sync::mpsc;

pub use self::{export::Exporter, exporting::Exporting, otlp::Resource};

/// Spans that may wait for the exporter.
const QUEUE: usize = 4096;
/// Longest `tracestate` that is exported; it is passed on at any length.
const MAX_STATE: usize = 512;
/// Longest attribute that is exported, bytes.
const MAX_ATTRIBUTE: usize = 256;

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct TracingConfig {
    /// Base URL of an OTLP/HTTP receiver; `/v1/traces` is added.
    pub endpoint: String,
    /// Headers for the receiver; those that are secret are marked as sensitive.
    pub headers: http::HeaderMap,
    /// Share of the traces that begin here which are recorded, from 0 to 1. Callers decide about theirs.
    pub ratio: f64,
}

/// Makes spans, or not. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    ratio: f64,
    ended: mpsc::Sender<Ended>,
    counts: Arc<Counts>,
}

/// What became of the spans.
#[derive(Debug, Default)]
pub struct Counts {
    /// Taken by the receiver.
    pub exported: AtomicU64,
    /// Not sent: the queue was full, or the receiver did not take them.
    pub dropped: AtomicU64,
}

/// The role of a span in its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Within this process.
    Internal = 1,
    /// It answers a call from elsewhere.
    Server = 2,
    /// It waits for a call to elsewhere.
    Client = 3,
}

/// A span under way. Dropped without an end, its caller went.
#[must_use = "a span that is not ended counts as cancelled"]
#[derive(Default)]
pub struct Span(Option<Box<Active>>);

struct Active {
    shared: Arc<Shared>,
    began: Instant,
    span: Ended,
}

/// A span that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Its trace and itself.
    pub own: TraceParent,
    /// The span of the caller.
    pub parent: Option<[u8; 8]>,
    /// `tracestate`.
    pub state: String,
    /// Operation, or `HTTP GET`.
    pub name: String,
    /// Role.
    pub kind: Kind,
    /// When it began, since the Unix epoch.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// What else is known.
    pub attributes: Vec<(&'static str, Cow<'static, str>)>,
    /// Code of the failure.
    pub error: Option<Cow<'static, str>>,
}

/// The tracer, and with settings the exporter to run as a task.
#[must_use]
pub fn open(config: Option<&TracingConfig>, resource: Resource) -> (Tracer, Option<Exporter>) {
    let Some(config) = config else { return (Tracer::default(), None) };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let counts = Arc::<Counts>::default();
    let shared = Shared { ratio: config.ratio, ended: sender, counts: counts.clone() };
    let exporter = Exporter::new(config.clone(), resource, receiver, counts);
    (Tracer(Some(Arc::new(shared))), Some(exporter))
}

impl Tracer {
    /// A hop begins: continues the trace in `trace`, which is then that of this hop's own calls.
    pub fn span(&self, name: &str, kind: Kind, trace: &mut TraceContext) -> Span {
        let Some(shared) = &self.0 else { return Span(None) };
        let parent = trace.parent();
        let (trace_id, sampled) = match parent {
            Some(parent) => (parent.trace_id, parent.sampled),
            None => {
                trace.clear();
                let id = random::<16>();
                (id, is_chosen(&id, shared.ratio))
            }
        };
        if !sampled && parent.is_some() {
            return Span(None);
        }
        let own = TraceParent { trace_id, span_id: random(), sampled };
        trace.set_parent(&own);
        if !sampled {
            return Span(None);
        }
        let state = trace.state().filter(|state| state.len() <= MAX_STATE).unwrap_or_default().to_owned();
        let span = Ended {
            own,
            parent: parent.map(|parent| parent.span_id),
            state,
            name: bounded(name).to_owned(),
            kind,
            began: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            error: Some(Cow::Borrowed("cancelled")),
        };
        Span(Some(Box::new(Active { shared: shared.clone(), began: Instant::now(), span })))
    }

    /// What became of the spans; none when tracing is off.
    #[must_use]
    pub fn counts(&self) -> Option<&Counts> {
        self.0.as_ref().map(|shared| &*shared.counts)
    }
}

/// A request arrives at an HTTP server of this process. Its headers then name the span, so that a guest that passes them on
/// goes on with the trace.
pub fn arrival<B>(tracer: &Tracer, request: &mut http::Request<B>) -> Span {
    if tracer.0.is_none() {
        return Span(None);
    }
    let mut trace = http_message::trace(request.headers());
    let span = tracer.span(&format!("HTTP {}", request.method()), Kind::Server, &mut trace);
    http_message::set_trace(request.headers_mut(), &trace);
    span.with("lattice.hop", || "http")
        .with("http.request.method", || request.method().to_string())
        .with("url.path", || request.uri().path().to_owned())
}

impl Span {
    /// Adds what is known; the value is only made when the span is recorded.
    pub fn with<V: AsRef<str>>(mut self, name: &'static str, value: impl FnOnce() -> V) -> Self {
        self.set(name, value);
        self
    }

    /// The call ended with a response, or without one.
    pub fn end_http<B>(mut self, result: &Result<http::Response<B>, CallError>) {
        if let Ok(response) = result {
            self.answered(response.status());
        }
        self.end(result);
    }

    /// The call has a response, which may go on.
    pub fn answered(&mut self, status: http::StatusCode) {
        self.set("http.response.status_code", || status.as_u16().to_string());
    }

    /// The call ended.
    pub fn end<T>(self, result: &Result<T, CallError>) {
        self.end_with(result.as_ref().map(|_| ()));
    }

    /// The same for whoever has but a reference to the failure.
    pub fn end_with(mut self, outcome: Result<(), &CallError>) {
        if let Some(active) = &mut self.0 {
            active.span.error = outcome.err().map(|error| Cow::Owned(bounded(error.code()).to_owned()));
        }
    }

    fn set<V: AsRef<str>>(&mut self, name: &'static str, value: impl FnOnce() -> V) {
        if let Some(active) = &mut self.0 {
            active.span.attributes.push((name, Cow::Owned(bounded(value().as_ref()).to_owned())));
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.span.took = self.began.elapsed();
        if self.shared.ended.try_send(self.span.clone()).is_err() {
            self.shared.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// As much of a text as is exported.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ATTRIBUTE)]
}

/// By the trace id, so that all hosts with one ratio choose the same.
fn is_chosen(trace_id: &[u8; 16], ratio: f64) -> bool {
    let [.., a, b, c, d, e, f, g] = *trace_id;
    // As many bits as a float holds exactly: a share of one must never round up to a whole.
    let low = u64::from_be_bytes([0, a, b, c, d, e, f, g]) >> 3;
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    let share = low as f64 / (1_u64 << 53) as f64;
    share < ratio
}

/// Not zero: that would be no id.
fn random<const N: usize>() -> [u8; N] {
    let mut id = [0; N];
    if getrandom::fill(&mut id).is_err() || id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn tracer(ratio: f64) -> (Tracer, mpsc::Receiver<Ended>) {
        let (sender, receiver) = mpsc::channel(2);
        (Tracer(Some(Arc::new(Shared { ratio, ended: sender, counts: Arc::default() }))), receiver)
    }

    fn context(parent: &str) -> TraceContext {
        TraceContext::new([("traceparent".into(), parent.into()), ("tracestate".into(), "a=b".into())].into())
    }

    #[test]
    fn without_tracing_a_context_passes_unchanged() {
        for text in [PARENT, "junk"] {
            let mut trace = context(text);
            let span = Tracer::default().span("x", Kind::Server, &mut trace);
            assert!(span.0.is_none());
            assert_eq!(trace, context(text));
        }
    }

    #[test]
    fn a_span_continues_the_trace_of_its_caller() {
        let (tracer, mut ended) = tracer(0.0);
        let mut trace = context(PARENT);
        let span = tracer.span("Work", Kind::Server, &mut trace).with("actor", || "M");
        let own = trace.parent().expect("a parent");
        span.end(&Ok(()));
        let seen = ended.try_recv().expect("exported: the caller decides");
        assert_eq!((seen.own, seen.parent), (own, Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31])));
        assert_eq!((seen.state.as_str(), seen.error, &seen.attributes), ("a=b", None, &vec![("actor", "M".into())]));
        assert_eq!(trace.0["tracestate"], "a=b");
    }

    #[test]
    fn a_caller_that_is_not_recorded_is_not_recorded_here() {
        let (tracer, mut ended) = tracer(1.0);
        let quiet = PARENT.replace("-01", "-00");
        let mut trace = context(&quiet);
        drop(tracer.span("Work", Kind::Server, &mut trace));
        assert!(ended.try_recv().is_err());
        assert_eq!(trace, context(&quiet));
    }

    #[test]
    fn the_ratio_decides_about_traces_that_begin_here_and_everybody_follows() {
        let (tracer, mut ended) = tracer(0.0);
        let mut trace = TraceContext::default();
        drop(tracer.span("Work", Kind::Server, &mut trace));
        assert!(ended.try_recv().is_err());
        assert!(trace.parent().is_some_and(|parent| !parent.sampled), "the next hop must not choose anew");

        let recorded = (0..1000).filter(|_| is_chosen(&random(), 0.25)).count();
        assert!((150..350).contains(&recorded), "{recorded} of 1000 at a quarter");
        assert!(is_chosen(&[0xFF; 16], 1.0) && !is_chosen(&[0; 16], 0.0));
    }

    #[test]
    fn a_malformed_context_begins_a_new_trace() {
        let (tracer, mut ended) = tracer(1.0);
        let mut trace = context("junk");
        tracer.span("Work", Kind::Server, &mut trace).end(&Ok(()));
        let seen = ended.try_recv().expect("exported");
        assert_eq!((seen.parent, seen.state.as_str()), (None, ""));
        assert_eq!(trace.0.get("tracestate"), None);
    }

    #[test]
    fn failures_have_their_code_and_abandoned_calls_are_cancelled() {
        let (tracer, mut ended) = tracer(1.0);
        let error = Err::<(), _>(CallError::Trap { message: String::new() });
        tracer.span("a", Kind::Internal, &mut TraceContext::default()).end(&error);
        drop(tracer.span("b", Kind::Internal, &mut TraceContext::default()));
        let errors = [ended.try_recv(), ended.try_recv()].map(|span| span.expect("exported").error);
        assert_eq!(errors, [Some("trap".into()), Some("cancelled".into())]);
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_nothing_grows() {
        let (tracer, _ended) = tracer(1.0);
        for _ in 0..5 {
            drop(tracer.span(&"ä".repeat(1000), Kind::Internal, &mut TraceContext::default()));
        }
        let counts = tracer.counts().expect("tracing is on");
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(bounded(&"ä".repeat(1000)).len(), MAX_ATTRIBUTE);
    }
}
