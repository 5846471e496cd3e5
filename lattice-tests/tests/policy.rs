//! The policy service: asked about every start and every call, believed, remembered, and missed when it is away.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ActorId, ActorMetadata, KeyKind, KeyPair};
use futures_util::StreamExt;
use host::{HostConfig, PolicyConfig, PolicyDefault};
use lattice::policy::{PolicyAction, PolicyDecision, PolicyRequest};
use lattice_tests::{
    Actor, Caller, HTTPSERVER, KEYVALUE, NatsServer, Signer, SingleHost, TestLattice, eventually, free_address, get,
    link, try_get,
};

const TOPIC: &str = "policy.ask";
const CHANGES: &str = "policy.changes";
const PROVIDER: &str = "builtin://httpserver";

fn asking(default: PolicyDefault, within: Duration) -> impl Fn(&mut HostConfig) {
    move |config| {
        let changes_topic = Some(CHANGES.to_owned());
        config.policy = Some(PolicyConfig { topic: TOPIC.to_owned(), changes_topic, timeout: within, default });
    }
}

/// What the service answers; none is silence.
type Rule = Box<dyn FnMut(&PolicyRequest) -> Option<Vec<u8>> + Send>;

/// A policy service.
struct Service {
    client: async_nats::Client,
    rule: Arc<Mutex<Rule>>,
    asked: Arc<Mutex<Vec<PolicyRequest>>>,
    held: Arc<Mutex<Vec<(PolicyRequest, async_nats::Subject)>>>,
}

impl Service {
    async fn start(
        lattice: &TestLattice,
        rule: impl FnMut(&PolicyRequest) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let client = lattice.nats.client().await;
        let mut questions = client.subscribe(TOPIC).await.expect("a subscription");
        client.flush().await.expect("the server has it");
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(rule)));
        let service = Self { client: client.clone(), rule: rule.clone(), asked: Arc::default(), held: Arc::default() };
        let (asked, held) = (service.asked.clone(), service.held.clone());
        tokio::spawn(async move {
            while let Some(message) = questions.next().await {
                let request: PolicyRequest = serde_json::from_slice(&message.payload).expect("a question");
                let answer = (rule.lock().expect("no panic"))(&request);
                asked.lock().expect("no panic").push(request.clone());
                match (answer, message.reply) {
                    (Some(answer), Some(reply)) => client.publish(reply, answer.into()).await.expect("published"),
                    (None, Some(reply)) => held.lock().expect("no panic").push((request, reply)),
                    (_, None) => panic!("a question wants an answer"),
                }
            }
        });
        service
    }

    fn now(&self, rule: impl FnMut(&PolicyRequest) -> Option<Vec<u8>> + Send + 'static) {
        *self.rule.lock().expect("no panic") = Box::new(rule);
    }

    /// The questions about an action so far.
    fn asked(&self, action: PolicyAction) -> Vec<PolicyRequest> {
        let asked = self.asked.lock().expect("no panic");
        asked.iter().filter(|request| request.action == action).cloned().collect()
    }

    /// Permits what was left without an answer so far.
    async fn answer_held(&self) {
        let held = std::mem::take(&mut *self.held.lock().expect("no panic"));
        for (request, reply) in held {
            self.client.publish(reply, yes(&request).expect("an answer").into()).await.expect("published");
        }
    }

    async fn tell(&self, request_id: &str, permitted: bool) {
        let news = PolicyDecision { request_id: request_id.to_owned(), permitted, message: Some("as of now".into()) };
        self.client.publish(CHANGES, news.to_json().into()).await.expect("published");
        self.client.flush().await.expect("sent");
    }
}

fn decide(request: &PolicyRequest, permitted: bool) -> Option<Vec<u8>> {
    let message = (!permitted).then(|| "not on Sundays".to_owned());
    Some(PolicyDecision { request_id: request.request_id.clone(), permitted, message }.to_json())
}

fn yes(request: &PolicyRequest) -> Option<Vec<u8>> {
    decide(request, true)
}

fn silence(_: &PolicyRequest) -> Option<Vec<u8>> {
    None
}

async fn lattice(default: PolicyDefault, within_ms: u64) -> Option<TestLattice> {
    TestLattice::start_with(["a"], asking(default, Duration::from_millis(within_ms))).await
}

async fn caller(lattice: &TestLattice) -> Caller {
    Caller::nats(lattice.nats.client().await, lattice.cluster().clone())
}

/// Two echo actors on host `a`.
async fn two_actors(lattice: &TestLattice, signer: &Signer) -> (ActorId, ActorId) {
    let (operator, a) = (lattice.operator().await, lattice.id("a"));
    let first = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    let second = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_does_not_start_and_the_reason_has_the_words_and_the_request() {
    let Some(lattice) = lattice(PolicyDefault::Permit, 5000).await else { return };
    let service = Service::start(&lattice, |request| decide(request, false)).await;
    let (operator, signer, a) = (lattice.operator().await, Signer::default(), lattice.id("a"));
    let echo = signer.actor(Actor::Echo);
    let reason = operator.start_actor(&a, &echo.reference()).await.expect_err("it is denied");
    let [question] = &service.asked(PolicyAction::StartActor)[..] else { panic!("asked once") };
    assert!(reason.contains("not on Sundays") && reason.contains(&question.request_id), "{reason}");
    assert!(reason.contains("start_actor"), "{reason}");
    assert_eq!(question.target.public_key, echo.id.public_key());
    assert_eq!(question.target.issuer, Some(signer.account()));
    assert_eq!((question.host.public_key, question.source.public_key), (a, None));
    assert_eq!(question.host.labels.get("host").map(String::as_str), Some("a"));

    let reason = operator.start_provider(&a, PROVIDER).await.expect_err("it is denied");
    let [question] = &service.asked(PolicyAction::StartProvider)[..] else { panic!("asked once") };
    assert!(reason.contains("not on Sundays") && reason.contains(&question.request_id), "{reason}");
    assert_eq!(question.target.contract_id.as_ref().map(|id| id.as_str()), Some(lattice_tests::HTTPSERVER));
    let inventory = operator.inventory(&a).await;
    assert!(inventory.actors.is_empty() && inventory.providers.is_empty(), "{inventory:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_pair_flips_with_the_changes_topic_and_is_asked_about_once() {
    let Some(lattice) = lattice(PolicyDefault::Deny, 5000).await else { return };
    let service = Service::start(&lattice, yes).await;
    let signer = Signer::default();
    let (first, second) = two_actors(&lattice, &signer).await;
    let caller = caller(&lattice).await;
    for _ in 0..5 {
        assert_eq!(caller.relay(&first, second.as_str(), "Any.Thing", b"hi").await, Ok(Bytes::from_static(b"hi")));
    }
    let pairs = service.asked(PolicyAction::PerformInvocation);
    let pair = |from: &ActorId, to: &ActorId| {
        let of_pair = |r: &&PolicyRequest| {
            r.source.public_key == Some(from.public_key()) && r.target.public_key == to.public_key()
        };
        let found: Vec<_> = pairs.iter().filter(of_pair).collect();
        assert_eq!(found.len(), 1, "{from} to {to}");
        found[0].request_id.clone()
    };
    let id = pair(&first, &second);
    assert_eq!(pairs.len(), 2, "the outer call and the inner one");
    let _outer = pair(&first, &first); // `wash call` speaks in the name of its target

    service.tell(&id, false).await;
    let denied = eventually("the pair denied", || async {
        match caller.relay(&first, second.as_str(), "Any.Thing", b"hi").await {
            Ok(_) => Err("still permitted"),
            Err(error) => Ok(error.to_string()),
        }
    })
    .await;
    assert!(denied.contains("as of now") && denied.contains(&id), "{denied}");
    service.tell("nobody-asked-this", true).await;
    service.client.publish(CHANGES, "{".into()).await.expect("published");
    service.tell(&id, true).await;
    eventually("the pair permitted", || async {
        caller.relay(&first, second.as_str(), "Any.Thing", b"hi").await.map(drop)
    })
    .await;
    assert_eq!(service.asked(PolicyAction::PerformInvocation).len(), 2, "nothing was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_has_a_code_of_its_own_for_callers_elsewhere() {
    let Some(lattice) = lattice(PolicyDefault::Permit, 5000).await else { return };
    let service =
        Service::start(&lattice, |request| decide(request, request.action != PolicyAction::PerformInvocation)).await;
    let signer = Signer::default();
    let (first, _) = two_actors(&lattice, &signer).await;
    let error = caller(&lattice).await.call(&first, "Any.Thing", Bytes::new()).await.expect_err("it is denied");
    assert_eq!(error.code(), "policy_denied", "{error}");
    let [question] = &service.asked(PolicyAction::PerformInvocation)[..] else { panic!("asked once") };
    assert!(error.to_string().contains(&question.request_id), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_about_in_the_direction_of_the_call() {
    let Some(lattice) = lattice(PolicyDefault::Deny, 5000).await else { return };
    let service = Service::start(&lattice, yes).await;
    let (operator, signer, a, address) = (lattice.operator().await, Signer::default(), lattice.id("a"), free_address());
    let provider = operator.start_provider(&a, PROVIDER).await.expect("it starts");
    let echo = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    operator.link(&echo, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/permitted").await;
    let [question] = &service.asked(PolicyAction::PerformInvocation)[..] else { panic!("asked once") };
    assert_eq!(question.source.public_key, Some(provider.public_key()));
    assert_eq!(question.source.link_name.as_ref().map(|name| name.as_str()), Some("default"));
    assert_eq!(question.target.public_key, echo.public_key());
    service.tell(&question.request_id, false).await;
    eventually("refused over HTTP", || async {
        let answer = try_get(address, "/denied").await?;
        if answer.status.is_success() { Err("answered".to_owned()) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiled_in_provider_is_asked_about_also_for_hosts_that_ask_nobody() {
    let Some(nats) = NatsServer::start().await else { return };
    let mut lattice = TestLattice::empty(nats);
    lattice.add_host("a").await;
    lattice.add_host_with("b", asking(PolicyDefault::Deny, Duration::from_secs(5))).await;
    lattice.assemble().await;
    let service = Service::start(&lattice, yes).await;
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let store = operator.start_provider(&lattice.id("b"), "builtin://keyvalue-redb").await.expect("it starts");
    let counter = signer.actor_with(Actor::KvCounter, |claims| {
        claims.metadata = claims
            .metadata
            .take()
            .map(|metadata| ActorMetadata { caps: Some(vec![HTTPSERVER.to_owned(), KEYVALUE.to_owned()]), ..metadata });
    });
    let counter = operator.start_actor(&lattice.id("a"), &counter.reference()).await.expect("it starts");
    operator.put(&link(&counter, &store, KEYVALUE, &[])).await.expect("the store takes it");
    let (web, address) =
        (operator.start_provider(&lattice.id("a"), PROVIDER).await.expect("it starts"), free_address());
    operator.link(&counter, &web, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/permitted").await;
    let [question] = &service.asked(PolicyAction::PerformInvocation)[..] else { panic!("asked once") };
    assert_eq!(question.source.public_key, Some(counter.public_key()));
    assert_eq!(question.target.public_key, store.public_key());
    assert_eq!(question.host.public_key, lattice.id("b"));
    service.tell(&question.request_id, false).await;
    eventually("the store refuses", || async {
        let answer = try_get(address, "/denied").await?;
        if answer.status.is_success() { Err("answered".to_owned()) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_none_and_the_default_holds() {
    for (default, starts) in [(PolicyDefault::Deny, false), (PolicyDefault::Permit, true)] {
        let Some(lattice) = lattice(default, 300).await else { return };
        let service = Service::start(&lattice, silence).await;
        let (operator, signer, a) = (lattice.operator().await, Signer::default(), lattice.id("a"));
        let reference = signer.actor(Actor::Echo).reference();
        let outcome = operator.start_actor(&a, &reference).await;
        assert_eq!(outcome.is_ok(), starts, "{outcome:?}");
        if let Err(reason) = outcome {
            assert!(reason.contains("300 ms") && reason.contains("--policy-default deny"), "{reason}");
        }
        // A failure is not remembered: the same question is asked again, and then answered.
        let asked = service.asked(PolicyAction::StartActor).len();
        service.now(yes);
        operator.scale(&a, &reference, 20).await.expect("it is permitted now");
        assert_eq!(service.asked(PolicyAction::StartActor).len(), asked + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_the_default_holds_at_once() {
    for (default, starts) in [(PolicyDefault::Deny, false), (PolicyDefault::Permit, true)] {
        let Some(lattice) = lattice(default, 60_000).await else { return };
        let (operator, signer, a) = (lattice.operator().await, Signer::default(), lattice.id("a"));
        let outcome = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await;
        assert_eq!(outcome.is_ok(), starts, "nobody listens: {outcome:?}");
        if let Err(reason) = outcome {
            assert!(reason.contains("nobody listens") && reason.contains(TOPIC), "{reason}");
        }
        lattice.cut("a");
        let here = lattice.operator_at("a");
        let outcome = eventually("NATS known to be away", || async {
            match here.start_actor(&a, &signer.actor(Actor::Echo).reference()).await {
                Err(reason) if !reason.contains("NATS is away") => Err(reason),
                outcome => Ok(outcome),
            }
        })
        .await;
        assert_eq!(outcome.is_ok(), starts, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_nats_holds_to_the_default() {
    for (default, starts) in [(PolicyDefault::Deny, false), (PolicyDefault::Permit, true)] {
        let host = SingleHost::start_with(asking(default, Duration::from_secs(60))).await;
        let signer = Signer::default();
        let outcome = host.operator.start_actor(&host.id, &signer.actor(Actor::Echo).reference()).await;
        assert_eq!(outcome.is_ok(), starts, "{outcome:?}");
        assert!(outcome.err().is_none_or(|reason| reason.contains("runs without NATS")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_counts_as_silence() {
    let Some(lattice) = lattice(PolicyDefault::Deny, 5000).await else { return };
    let other = br#"{"requestId":"another","permitted":true}"#.to_vec();
    for (answer, word) in [(b"yes".to_vec(), "JSON"), (b"{}".to_vec(), "requestId"), (other, "another request")] {
        let service = Service::start(&lattice, move |_| Some(answer.clone())).await;
        let (operator, signer) = (lattice.operator().await, Signer::default());
        let reason = operator.start_actor(&lattice.id("a"), &signer.actor(Actor::Echo).reference()).await;
        let reason = reason.expect_err("it is not permitted");
        assert!(reason.contains("unusable") && reason.contains(word), "{reason}");
        service.now(silence);
        drop(service);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_questions_that_come_together_are_asked_once() {
    let Some(lattice) = lattice(PolicyDefault::Deny, 20_000).await else { return };
    let service = Service::start(&lattice, yes).await;
    let signer = Signer::default();
    let (first, _) = two_actors(&lattice, &signer).await;
    service.now(silence);
    let caller = caller(&lattice).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (caller, first) = (caller.clone(), first);
            tokio::spawn(async move { caller.call(&first, "Any.Thing", Bytes::new()).await })
        })
        .collect();
    let question = eventually("the question", || async {
        service.asked(PolicyAction::PerformInvocation).pop().ok_or("not asked")
    })
    .await;
    assert_eq!(
        caller
            .within(Duration::from_millis(50))
            .call(&first, "Any.Thing", Bytes::new())
            .await
            .err()
            .map(|e| e.code().to_owned())
            .as_deref(),
        Some("deadline_exceeded"),
        "whoever is in a hurry does not wait"
    );
    service.answer_held().await;
    for call in calls {
        assert_eq!(call.await.expect("it ends"), Ok(Bytes::new()));
    }
    assert_eq!(service.asked(PolicyAction::PerformInvocation), [question]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_different_questions_is_bounded_and_passes() {
    const CALLS: usize = 1300;
    let Some(lattice) = lattice(PolicyDefault::Deny, 3000).await else { return };
    let service = Service::start(&lattice, yes).await;
    let signer = Signer::default();
    let (first, _) = two_actors(&lattice, &signer).await;
    let stranger = || KeyPair::generate(KeyKind::Module).public().try_into().expect("an actor");
    let strangers: Vec<ActorId> = (0..=CALLS).map(|_| stranger()).collect();
    // The service is asked about actors that the lattice knows; others are refused before.
    lattice.introduce_all(&strangers).await;
    let operator = lattice.operator().await;
    eventually("their claims are known", || async {
        let known = operator.control.claims().await.map_err(|error| error.to_string())?.len();
        if known > CALLS { Ok(()) } else { Err(known.to_string()) }
    })
    .await;
    service.now(silence);
    let caller = caller(&lattice).await;
    let refused = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let calls: Vec<_> = strangers[..CALLS]
        .iter()
        .map(|stranger| {
            let (caller, refused, stranger) = (caller.clone(), refused.clone(), *stranger);
            tokio::spawn(async move {
                let error = caller.call_as(&stranger, &first, "Any.Thing", Bytes::new()).await.expect_err("denied");
                if error.to_string().contains("questions wait for an answer already") {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                error.code().to_owned()
            })
        })
        .collect();
    let mut codes = BTreeSet::new();
    for call in calls {
        codes.insert(call.await.expect("it ends"));
    }
    println!("{CALLS} questions: {:?}, {} refused at once", started.elapsed(), refused.load(Ordering::Relaxed));
    assert!(codes.iter().all(|code| code == "policy_unanswered" || code == "deadline_exceeded"), "{codes:?}");
    assert!(refused.load(Ordering::Relaxed) > 0, "more questions than may wait were not refused at once");
    let asked = service.asked(PolicyAction::PerformInvocation).len();
    assert!(asked <= 64 * 4, "{asked} questions were with a service that is given 64 at a time");
    service.now(yes);
    assert!(caller.call_as(&strangers[CALLS], &first, "Any.Thing", Bytes::new()).await.is_ok(), "the flood has passed");
}
