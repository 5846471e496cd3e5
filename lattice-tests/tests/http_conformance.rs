//! One call, and everybody who says something about it: client, metrics, spans, log, and what `wash why` is told.
//!
//! Every shape of request and answer goes over HTTP/1.1 and HTTP/2 to modules and to a component: on the host of the HTTP
//! server, on another host, and behind a provider process. Whatever the way, no two of them may disagree. (`wash serve` has
//! no metrics; its test is `wash-cli/tests/serve.rs`.)

#[path = "http_conformance/client.rs"]
mod client;
#[path = "http_conformance/shapes.rs"]
mod shapes;

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use claims::{ActorId, HostId, ProviderId};
use client::{Seen, ask};
use host::{AdminAddress, HostConfig};
use http::{Request, Version};
use http_body_util::Full;
use lattice::control::AskWhy;
use lattice_tests::{
    Actor, HTTPSERVER, Operator, Receiver, Signer, TestLattice, binary, eventually, free_address, get, try_get,
};
use shapes::{Method2, OF_COMPONENT, OF_MODULES, Shape, module};

const BUILTIN: &str = "builtin://httpserver";
/// Time for an answer to begin, and for a pause, of every link here.
const TIMES: [(&str, &str); 2] = [("timeout_ms", "2500"), ("idle_ms", "1000")];

/// Where the actor is, seen from the HTTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    OnAnotherHost,
    BehindAProcess,
}

/// Two hosts, the first of which has the HTTP server.
struct World {
    _lattice: TestLattice,
    operator: Operator,
    receiver: Receiver,
    provider: ProviderId,
    /// The host that runs the actors, its page of metrics, and the host whose server answers.
    runs: HostId,
    metrics: SocketAddr,
    serves: HostId,
    place: Place,
    signer: Signer,
}

impl World {
    async fn new(place: Place) -> Option<Self> {
        let receiver = Receiver::start().await;
        let pages = Mutex::new(Vec::new());
        let change = |config: &mut HostConfig| {
            let address = free_address();
            pages.lock().unwrap_or_else(PoisonError::into_inner).push(address);
            config.admin_address = Some(AdminAddress(address));
            config.tracing = Some(receiver.config(0.0));
        };
        let lattice = TestLattice::start_with(["front", "back"], change).await?;
        let pages = pages.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (front, back) = (pages[0], pages[1]);
        let (operator, signer) = (lattice.operator().await, Signer::default());
        let serves = lattice.id("front");
        let reference = match place {
            Place::BehindAProcess => {
                let program = std::fs::read(binary("wash-httpserver")).expect("it is built");
                signer.provider(&program, HTTPSERVER).reference()
            }
            Place::Here | Place::OnAnotherHost => BUILTIN.to_owned(),
        };
        let provider = operator.start_provider(&serves, &reference).await.expect("the server starts");
        let (runs, metrics) = if place == Place::OnAnotherHost { (lattice.id("back"), back) } else { (serves, front) };
        Some(Self { _lattice: lattice, operator, receiver, provider, runs, metrics, serves, place, signer })
    }

    /// Starts an actor and links it.
    async fn serve(&self, reference: &str) -> (ActorId, SocketAddr) {
        let (actor, address) =
            (self.operator.start_actor(&self.runs, reference).await.expect("it starts"), free_address());
        let text = address.to_string();
        let values: Vec<_> = TIMES.into_iter().chain([("address", text.as_str())]).collect();
        self.operator.link(&actor, &self.provider, &values).await.expect("the link is taken");
        (actor, address)
    }

    /// How often the calls of an actor ended how.
    async fn outcomes(&self, actor: &ActorId) -> BTreeMap<String, u64> {
        let page = get(self.metrics, "/metrics").await;
        let start = format!("lattice_calls_total{{actor=\"{actor}\"");
        let lines = page.lines().filter(|line| line.starts_with(&start));
        let outcome = |line: &str| {
            let (labels, count) = line.rsplit_once(' ')?;
            let outcome = labels.split("outcome=\"").nth(1)?.split('"').next()?.to_owned();
            Some((outcome, count.parse().ok()?))
        };
        lines.filter_map(outcome).collect()
    }

    /// How often calls of an actor failed how, as `wash why` is told by all hosts.
    async fn failures(&self, actor: &ActorId) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for host in [&self.runs, &self.serves] {
            let question = AskWhy { actor: Some(*actor), ..AskWhy::default() };
            let reply = self.operator.control.why(host, &question).await.expect("it answers");
            for failure in reply.failures {
                *all.entry(failure.code).or_default() += failure.times;
            }
        }
        all
    }

    /// Sends one request and has everybody's word.
    async fn check(&self, actor: &ActorId, address: SocketAddr, path: &str, version: Version, shape: &Shape) {
        let what = format!("{:?} {:?} {path} of {shape:?}", self.place, version);
        let before = self.outcomes(actor).await;
        let lines = failed_lines(actor, shape.code);
        let trace: [u8; 16] = rand_id();
        let parent = format!("00-{}-b7ad6b7169203331-01", hex(&trace));
        let body = if shape.method == Method2::Post { "sent" } else { "" };
        let request = Request::builder().method(shape.method.http()).uri(path).header("traceparent", parent);
        let seen = ask(address, version, request.body(Full::new(Bytes::from(body))).expect("a request")).await;
        self.client(&what, shape, &seen);

        let counted = || async {
            let after = self.outcomes(actor).await;
            let more = |outcome: &String| after[outcome] - before.get(outcome).copied().unwrap_or_default();
            let changed: Vec<_> =
                after.keys().filter(|outcome| more(outcome) > 0).map(|one| (one.clone(), more(one))).collect();
            if changed == [(shape.code.to_owned(), 1)] { Ok(()) } else { Err(format!("{what}: {changed:?}")) }
        };
        eventually("the outcome of the call is counted, once", counted).await;
        if shape.code == "ok" {
            return;
        }
        let told = || async {
            let failures = self.failures(actor).await;
            if failures.contains_key(shape.code) { Ok(()) } else { Err(format!("{what}: {failures:?}")) }
        };
        eventually("`wash why` is told", told).await;
        let logged = || async {
            let now = failed_lines(actor, shape.code);
            if now == lines + 1 { Ok(()) } else { Err(format!("{what}: {lines} lines, then {now}")) }
        };
        eventually("one line of the log has it", logged).await;
        let traced = || async {
            let spans: Vec<_> = self.receiver.seen().into_iter().filter(|span| span.trace == trace).collect();
            let of_actor: Vec<_> = spans.iter().filter(|span| span.hop() == "actor").collect();
            let is_right = of_actor.len() == 1 && of_actor[0].error == shape.code;
            // Whoever had all of the answer saw nothing wrong with it.
            let of_server = spans.iter().find(|span| span.hop() == "http");
            let expected = if shape.is_late && self.place != Place::Here { "" } else { shape.code };
            let agrees = of_server.is_some_and(|span| span.error == expected);
            if is_right && agrees { Ok(()) } else { Err(format!("{what}: {spans:?}")) }
        };
        eventually("the spans of the call have it", traced).await;
    }

    fn client(&self, what: &str, shape: &Shape, seen: &Seen) {
        let is_held = self.place != Place::Here;
        let (status, is_cut) = if is_held { (shape.held_status, false) } else { (shape.status, shape.is_cut) };
        assert_eq!((seen.status, seen.is_cut), (status, is_cut), "{what}: {seen:?}");
        if status >= 500 && shape.code != "ok" {
            assert_eq!(seen.code(), shape.code, "{what}: {seen:?}");
        }
        if shape.method == Method2::Head || matches!(status, 204 | 205 | 304) {
            assert_eq!(seen.body, "", "{what}");
        }
        let length = seen.headers.get("content-length").map(|value| value.to_str().expect("text"));
        match status {
            204 => assert_eq!(length, None, "{what}"),
            205 => assert!(length.is_none_or(|length| length == "0"), "{what}"),
            _ => {}
        }
    }

    async fn check_all(&self) {
        let (hello, address) = self.serve(&self.signer.actor(Actor::Hello).reference()).await;
        get(address, "/").await;
        for shape in OF_COMPONENT {
            for version in [Version::HTTP_11, Version::HTTP_2] {
                self.check(&hello, address, shape.path, version, shape).await;
            }
        }
        let mut modules = BTreeMap::new();
        for shape in OF_MODULES {
            let (actor, address) = match modules.get(shape.path) {
                Some(known) => *known,
                None => {
                    let signed = self.signer.wasm(shape.path, &module(shape.path));
                    let known = self.serve(&signed.reference()).await;
                    eventually("it is served", || async {
                        let answer = try_get(known.1, "/").await?;
                        if answer.status == 404 || answer.body.starts_with("not_") { Err(answer.body) } else { Ok(()) }
                    })
                    .await;
                    modules.insert(shape.path, known);
                    known
                }
            };
            for version in [Version::HTTP_11, Version::HTTP_2] {
                self.check(&actor, address, "/", version, shape).await;
            }
        }
        // A request that no actor should see is counted nowhere.
        let before = self.outcomes(&hello).await;
        let request =
            Request::get("/").header("x", "y".repeat(70_000)).body(Full::new(Bytes::new())).expect("a request");
        assert_eq!(ask(address, Version::HTTP_11, request).await.status, 431);
        assert_eq!(self.outcomes(&hello).await, before);
        assert!(!failures_of_host(&self.failures(&hello).await), "none of it was a fault of the host");
    }
}

fn failures_of_host(failures: &BTreeMap<String, u64>) -> bool {
    failures.contains_key("host_fault")
}

fn rand_id() -> [u8; 16] {
    let key = claims::KeyPair::generate(claims::KeyKind::Module).public();
    let mut id = [0; 16];
    for (byte, from) in id.iter_mut().zip(key.as_str().bytes().skip(10)) {
        *byte = from;
    }
    id
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What all hosts of this process have written.
fn log() -> &'static Arc<Mutex<Vec<u8>>> {
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let page = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter("warn")
            .with_ansi(false)
            .with_writer(move || Page(page.clone()))
            .try_init()
            .expect("nobody else writes");
        log
    })
}

/// Lines about failed calls of an actor, with this code.
fn failed_lines(actor: &ActorId, code: &str) -> usize {
    let log = log().lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8_lossy(&log).into_owned();
    let code = format!("code=\"{code}\"");
    text.lines()
        .filter(|line| line.contains("a call failed") && line.contains(actor.as_str()) && line.contains(&code))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_the_same_of_a_call_on_the_same_host() {
    log();
    if let Some(world) = World::new(Place::Here).await {
        world.check_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_the_same_of_a_call_to_another_host() {
    log();
    if let Some(world) = World::new(Place::OnAnotherHost).await {
        world.check_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_the_same_of_a_call_from_a_provider_process() {
    log();
    if let Some(world) = World::new(Place::BehindAProcess).await {
        world.check_all().await;
    }
}
