//! One call, and everybody who says something about it: client, metrics, spans, events, log, and what `wash why` is told.
//!
//! Every shape of request and answer goes over HTTP/1.1 and HTTP/2 to modules and to a component: on the host of the HTTP
//! server, on another host, behind a provider process, and under `wash serve`, which has a client and a log alone. Whatever
//! the way, no two of them may disagree. The only event about a call is that of a broken limit.

#[path = "http_conformance/client.rs"]
mod client;
#[path = "http_conformance/events.rs"]
mod events;
#[path = "http_conformance/log.rs"]
mod log;
#[path = "http_conformance/serve.rs"]
mod serve;
#[path = "http_conformance/shapes.rs"]
mod shapes;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use claims::{ActorId, HostId, ProviderId};
use client::ask;
use events::Told;
use host::{AdminAddress, HostConfig};
use http::{Request, Version};
use http_body_util::Full;
use lattice::control::AskWhy;
use lattice_tests::{
    Actor, HTTPSERVER, Operator, Receiver, Signer, TestLattice, binary, eventually, free_address, get, try_get,
};
use log::failed_lines;
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
    told: Told,
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
        let told = Told::listen(&operator).await;
        Some(Self { _lattice: lattice, operator, receiver, provider, runs, metrics, serves, place, signer, told })
    }

    /// Starts an actor, with limits of its own where there are any, and links it.
    async fn serve(&self, reference: &str, limits: &[(&str, &str)]) -> (ActorId, SocketAddr) {
        let started = match limits {
            [] => self.operator.start_actor(&self.runs, reference).await,
            limits => self.operator.limit(&self.runs, reference, limits).await,
        };
        let (actor, address) = (started.expect("it starts"), free_address());
        let text = address.to_string();
        let values: Vec<_> = TIMES.into_iter().chain([("address", text.as_str())]).collect();
        self.operator.link(&actor, &self.provider, &values).await.expect("the link is taken");
        (actor, address)
    }

    /// How often the calls of an actor ended how.
    async fn outcomes(&self, actor: &ActorId) -> BTreeMap<String, u64> {
        self.counted("lattice_calls_total", actor, "outcome").await
    }

    /// How often they broke which limit.
    async fn breaches(&self, actor: &ActorId) -> BTreeMap<String, u64> {
        self.counted("lattice_limit_breaches_total", actor, "limit").await
    }

    /// A counter of an actor, by one of its labels.
    async fn counted(&self, metric: &str, actor: &ActorId, label: &str) -> BTreeMap<String, u64> {
        let page = get(self.metrics, "/metrics").await;
        let (start, label) = (format!("{metric}{{actor=\"{actor}\""), format!("{label}=\""));
        let mut counts = BTreeMap::new();
        for line in page.lines().filter(|line| line.starts_with(&start)) {
            let (labels, count) = line.rsplit_once(' ').expect("a value");
            let name = labels.split(&label).nth(1).and_then(|rest| rest.split('"').next()).expect("the label");
            *counts.entry(name.to_owned()).or_default() += count.parse::<u64>().expect("a number");
        }
        counts
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
        let (before, broken) = (self.outcomes(actor).await, self.breaches(actor).await);
        let lines = failed_lines(actor, shape.code);
        let trace: [u8; 16] = rand_id();
        let parent = format!("00-{}-b7ad6b7169203331-01", hex(&trace));
        let body = if shape.method == Method2::Post { "sent" } else { "" };
        let request = Request::builder().method(shape.method.http()).uri(path).header("traceparent", parent);
        let seen = ask(address, version, request.body(Full::new(Bytes::from(body))).expect("a request")).await;
        client::check(&what, shape, &seen, self.place != Place::Here);

        let counted = || async {
            let after = self.outcomes(actor).await;
            let more = |outcome: &String| after[outcome] - before.get(outcome).copied().unwrap_or_default();
            let changed: Vec<_> =
                after.keys().filter(|outcome| more(outcome) > 0).map(|one| (one.clone(), more(one))).collect();
            if changed == [(shape.code.to_owned(), 1)] { Ok(()) } else { Err(format!("{what}: {changed:?}")) }
        };
        eventually("the outcome of the call is counted, once", counted).await;
        self.limits(&what, actor, shape, broken).await;
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

    /// Metric, inventory and events agree on the limits that were broken.
    async fn limits(&self, what: &str, actor: &ActorId, shape: &Shape, mut broken: BTreeMap<String, u64>) {
        if let Some(limit) = shape.broken() {
            *broken.entry(limit.to_owned()).or_default() += 1;
        }
        assert_eq!(self.breaches(actor).await, broken, "{what}");
        let inventory = self.operator.inventory(&self.runs).await;
        let listed = inventory.actors.into_iter().find(|listed| listed.id == *actor).expect("it runs");
        assert_eq!(listed.limits_exceeded, broken, "{what}");
        eventually("the events tell of every limit that was broken, and of no other", || async {
            let told = self.told.of(actor);
            if told == broken { Ok(()) } else { Err(format!("{what}: told {told:?}, counted {broken:?}")) }
        })
        .await;
    }

    async fn check_all(&self) {
        let (hello, address) = self.serve(&self.signer.actor(Actor::Hello).reference(), &[]).await;
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
                    let known = self.serve(&signed.reference(), shape.limits).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_the_same_of_a_call_on_the_same_host() {
    log::keep();
    if let Some(world) = World::new(Place::Here).await {
        world.check_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_the_same_of_a_call_to_another_host() {
    log::keep();
    if let Some(world) = World::new(Place::OnAnotherHost).await {
        world.check_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_says_the_same_of_a_call_from_a_provider_process() {
    log::keep();
    if let Some(world) = World::new(Place::BehindAProcess).await {
        world.check_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wash_serve_says_the_same_of_a_call() {
    serve::check_all().await;
}
