//! What is revoked stops: everywhere, also where nobody heard of it at the time, and it stays revoked.

use std::time::{Duration, Instant};

use claims::{
    ActorId, KeyKind, KeyPair, ProviderId,
    revocation::{Entry, RevocationList, Revoked, Sha256},
};
use lattice::{
    LatticeId,
    client::RpcClient,
    event::{ActorRevoked, EventData},
    invocation::{Entity, Invocation},
    subject::{RpcSubject, revocation_bucket, revocation_key},
};
use lattice_tests::{
    Actor, HTTPSERVER, NatsServer, Operator, Signed, Signer, SingleHost, TestLattice, eventually, eventually_within,
    http_link, now,
};

/// How long a host may take to stop what is revoked once it can know.
const BOUND: Duration = Duration::from_secs(5);

/// A signed list of the default lattice.
fn list(signer: &KeyPair, number: u64, revoked: &[Revoked]) -> String {
    let entry = |revoked: &Revoked| Entry { revoked: *revoked, reason: Some("key leaked".to_owned()), since: now() };
    let entries = revoked.iter().map(entry).collect();
    let list = RevocationList { lattice: LatticeId::default().to_string(), number, entries };
    list.sign(signer, now()).expect("it can be signed")
}

/// Waits until an actor does not run on a host, at most as long as a host may take.
async fn stopped_within_bound(operator: &Operator, host: &claims::HostId, actor: &ActorId) {
    eventually_within(BOUND, "the end of a revoked actor", || async {
        let running: Vec<ActorId> = operator.inventory(host).await.actors.iter().map(|actor| actor.id).collect();
        if running.contains(actor) { Err(format!("{running:?} run")) } else { Ok(()) }
    })
    .await;
}

async fn runs(operator: &Operator, host: &claims::HostId, actor: &ActorId) -> bool {
    operator.inventory(host).await.actors.iter().any(|running| running.id == *actor)
}

/// Waits until a host knows lists with exactly these numbers.
async fn knows(operator: &Operator, expected: &[u64]) {
    eventually("the lists on a host", || async {
        let lists = operator.control.revocations().await.map_err(|error| error.to_string())?;
        let mut numbers: Vec<u64> = lists.iter().map(|list| list.number).collect();
        numbers.sort_unstable();
        if numbers == expected { Ok(()) } else { Err(format!("{numbers:?}")) }
    })
    .await;
}

/// Two hosts that run one actor.
struct Running {
    lattice: TestLattice,
    operator: Operator,
    signer: Signer,
    echo: Signed<ActorId>,
}

async fn running() -> Option<Running> {
    let lattice = TestLattice::start(["a", "b"]).await?;
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let echo = signer.actor(Actor::Echo);
    for host in ["a", "b"] {
        operator.start_actor(&lattice.id(host), &echo.reference()).await.expect("the actor starts");
    }
    Some(Running { lattice, operator, signer, echo })
}

impl Running {
    fn issuer(&self) -> Revoked {
        Revoked::Issuer(self.signer.account())
    }

    /// Revokes with the cluster key.
    async fn revoke(&self, number: u64, revoked: &[Revoked]) {
        self.revoke_with(&self.operator, number, revoked).await;
    }

    /// The same at the socket of a host, whatever becomes of the others.
    async fn revoke_at(&self, host: &str, number: u64, revoked: &[Revoked]) {
        self.revoke_with(&self.lattice.operator_at(host), number, revoked).await;
    }

    async fn revoke_with(&self, operator: &Operator, number: u64, revoked: &[Revoked]) {
        let token = list(self.lattice.cluster(), number, revoked);
        operator.control.put_revocations(&token).await.expect("the list is accepted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_whose_issuer_is_revoked_stops_on_every_host_within_five_seconds() {
    let Some(world) = running().await else { return };
    let mut events = world.operator.events().await;
    let revoked_at = Instant::now();
    world.revoke(1, &[world.issuer()]).await;
    for host in ["a", "b"] {
        stopped_within_bound(&world.operator, &world.lattice.id(host), &world.echo.id).await;
    }
    let took = revoked_at.elapsed();
    println!("from revoke to stopped on both hosts: {took:?}");
    assert!(took < BOUND, "{took:?}");

    let mut told: Vec<ActorRevoked> = Vec::new();
    let mut names = Vec::new();
    while told.len() < 2 {
        let event =
            tokio::time::timeout(BOUND, events.next()).await.expect("two events in time").expect("events go on");
        names.push(event.data.name().to_owned());
        if let EventData::ActorRevoked(data) = event.data {
            told.push(data);
        }
    }
    assert!(names.contains(&"actors_stopped".to_owned()), "the usual events come as well: {names:?}");
    let mut hosts: Vec<_> = told.iter().map(|data| data.host_id).collect();
    hosts.sort();
    let mut expected = vec![world.lattice.id("a"), world.lattice.id("b")];
    expected.sort();
    assert_eq!(hosts, expected);
    let by = &told[0].by;
    assert_eq!((by.revoked.as_str(), by.reason.as_str(), by.number), ("issuer", "key leaked", 1));
    assert_eq!(by.revoked_id, world.signer.account().to_string());

    let reason = world.operator.start_actor(&world.lattice.id("a"), &world.echo.reference()).await;
    let reason = reason.expect_err("it must not start again");
    assert!(reason.contains("revoked") && reason.contains("key leaked"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_cut_off_stops_it_when_it_is_back() {
    let Some(world) = running().await else { return };
    world.lattice.cut("b");
    world.revoke_at("a", 1, &[world.issuer()]).await;
    stopped_within_bound(&world.operator, &world.lattice.id("a"), &world.echo.id).await;
    let (at_b, b) = (world.lattice.operator_at("b"), world.lattice.id("b"));
    assert!(runs(&at_b, &b, &world.echo.id).await, "`b` cannot know");

    let healed = Instant::now();
    world.lattice.heal("b");
    stopped_within_bound(&at_b, &b, &world.echo.id).await;
    println!("from healed to stopped: {:?}", healed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_off_does_not_take_it_up_again() {
    let Some(mut world) = running().await else { return };
    world.lattice.stop("b").await;
    world.revoke_at("a", 1, &[world.issuer()]).await;
    world.lattice.start_again("b").await;
    let (at_b, b) = (world.lattice.operator_at("b"), world.lattice.id("b"));
    knows(&at_b, &[1]).await;
    stopped_within_bound(&at_b, &b, &world.echo.id).await;

    // It knows for itself now, without anybody to tell it.
    world.lattice.nats.stop().await;
    world.lattice.start_again("b").await;
    let at_b = world.lattice.operator_at("b");
    knows(&at_b, &[1]).await;
    let reason = at_b.start_actor(&b, &world.echo.reference()).await.expect_err("it is revoked");
    assert!(reason.contains("revoked"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_nats_gets_the_lists_back_from_the_hosts() {
    let Some(mut world) = running().await else { return };
    world.revoke(3, &[world.issuer()]).await;
    world.lattice.nats.kill().await;
    world.lattice.nats.wipe();
    world.lattice.nats.start_again().await;
    world.lattice.assemble().await;
    // A host that comes only now knows nothing but what JetStream tells it.
    world.lattice.add_host("late").await;
    let late = world.lattice.operator_at("late");
    knows(&late, &[3]).await;
    let reason = late.start_actor(&world.lattice.id("late"), &world.echo.reference()).await.expect_err("it is revoked");
    assert!(reason.contains("revoked"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_deleted_or_damaged_in_the_bucket_is_put_back() {
    let Some(world) = running().await else { return };
    let token = list(world.lattice.cluster(), 2, &[world.issuer()]);
    world.operator.control.put_revocations(&token).await.expect("accepted");
    let jetstream = async_nats::jetstream::new(world.lattice.nats.client().await);
    let bucket = jetstream.get_key_value(revocation_bucket(&LatticeId::default())).await.expect("the bucket");
    let key = revocation_key(&world.lattice.cluster().public(), &token);
    for way in ["delete", "purge", "damage"] {
        match way {
            "delete" => bucket.delete(&key).await.expect("deleted"),
            "purge" => bucket.purge(&key).await.expect("purged"),
            _ => drop(bucket.put(&key, "junk".into()).await.expect("damaged")),
        }
        eventually(&format!("the list after a {way}"), || async {
            match bucket.get(&key).await.map_err(|error| error.to_string())? {
                Some(value) if value == token.as_bytes() => Ok(()),
                other => Err(format!("{} bytes", other.map_or(0, |value| value.len()))),
            }
        })
        .await;
    }
    knows(&world.operator, &[2]).await;
    assert!(!runs(&world.operator, &world.lattice.id("a"), &world.echo.id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_signer_nobody_trusts_is_refused_and_ignored_where_it_is_put_past_the_hosts() {
    let Some(world) = running().await else { return };
    let stranger = KeyPair::generate(KeyKind::Cluster);
    let token = list(&stranger, 9, &[world.issuer()]);
    let error = world.operator.control.put_revocations(&token).await.expect_err("nobody trusts it");
    assert!(error.to_string().contains("--cluster-issuers"), "{error}");

    world.revoke(1, &[]).await; // now there is a bucket
    let jetstream = async_nats::jetstream::new(world.lattice.nats.client().await);
    let bucket = jetstream.get_key_value(revocation_bucket(&LatticeId::default())).await.expect("the bucket");
    let key = revocation_key(&stranger.public(), &token);
    bucket.put(&key, token.clone().into()).await.expect("put past the hosts");
    bucket.put("junk", "junk".into()).await.expect("put past the hosts");
    // Changes come in order: who knows this one has seen the others.
    world.revoke(2, &[]).await;
    for host in ["a", "b"] {
        knows(&world.lattice.operator_at(host), &[2]).await;
        assert!(runs(&world.operator, &world.lattice.id(host), &world.echo.id).await, "`{host}` believed a stranger");
    }
    assert!(bucket.get(&key).await.expect("a bucket").is_some(), "what is not theirs to judge they leave alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_takes_back_what_it_issued_and_nothing_else() {
    let Some(world) = running().await else { return };
    let (owner, other) = (KeyPair::generate(KeyKind::Account), KeyPair::generate(KeyKind::Account));
    let error = world.operator.control.put_revocations(&list(&owner, 1, &[world.issuer()])).await;
    let error = error.expect_err("an account nobody has heard of");
    assert!(error.to_string().contains("cluster key"), "{error}");

    let (own, foreign) = (Signer::with(owner), Signer::with(other));
    let (mine, theirs) = (own.actor(Actor::Echo), foreign.actor(Actor::Echo));
    let a = world.lattice.id("a");
    for actor in [&mine, &theirs] {
        world.operator.start_actor(&a, &actor.reference()).await.expect("it starts");
    }
    // Its own issuer, and an actor of somebody else.
    let token = list(own.key(), 1, &[Revoked::Issuer(own.account()), Revoked::Actor(theirs.id)]);
    eventually("claims that name the account", || async {
        world.operator.control.put_revocations(&token).await.map_err(|error| error.to_string())
    })
    .await;
    stopped_within_bound(&world.operator, &a, &mine.id).await;
    assert!(runs(&world.operator, &a, &theirs.id).await, "an account cannot take back the work of another");
    assert!(runs(&world.operator, &a, &world.echo.id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_number_is_refused_and_a_higher_one_without_the_entry_trusts_again() {
    let Some(world) = running().await else { return };
    world.revoke(5, &[world.issuer()]).await;
    for host in ["a", "b"] {
        knows(&world.lattice.operator_at(host), &[5]).await;
    }
    let token = list(world.lattice.cluster(), 4, &[]);
    let error = world.operator.control.put_revocations(&token).await.expect_err("replaced already");
    assert!(error.to_string().contains("list 5"), "{error}");
    let a = world.lattice.id("a");
    stopped_within_bound(&world.operator, &a, &world.echo.id).await;

    world.revoke(6, &[]).await;
    knows(&world.lattice.operator_at("a"), &[6]).await;
    assert_eq!(world.operator.start_actor(&a, &world.echo.reference()).await, Ok(world.echo.id));
    let jetstream = async_nats::jetstream::new(world.lattice.nats.client().await);
    let name = format!("KV_{}", revocation_bucket(&LatticeId::default()));
    eventually("a bucket with the last list and the owner of the actor alone, and no markers", || async {
        let stream = jetstream.get_stream(&name).await.map_err(|error| error.to_string())?;
        let messages = stream.cached_info().state.messages;
        if messages == 2 { Ok(()) } else { Err(format!("{messages} messages")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_on_both_sides_of_a_cut_under_one_number_is_revoked_on_both() {
    let Some(world) = running().await else { return };
    let hello = world.signer.actor(Actor::Hello);
    for host in ["a", "b"] {
        world.operator.start_actor(&world.lattice.id(host), &hello.reference()).await.expect("the actor starts");
    }
    world.lattice.cut("b");
    for (host, revoked) in [("a", Revoked::Actor(world.echo.id)), ("b", Revoked::Actor(hello.id))] {
        world.revoke_at(host, 1, &[revoked]).await;
    }
    world.lattice.heal("b");
    for host in ["a", "b"] {
        let (operator, id) = (world.lattice.operator_at(host), world.lattice.id(host));
        knows(&operator, &[1, 1]).await;
        for actor in [&world.echo.id, &hello.id] {
            stopped_within_bound(&operator, &id, actor).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_revokes_one_build_and_leaves_the_others() {
    let Some(world) = running().await else { return };
    let other = world.signer.actor(Actor::Echo);
    let a = world.lattice.id("a");
    world.operator.start_actor(&a, &other.reference()).await.expect("the other one starts");
    let digest = Sha256::of(&std::fs::read(&world.echo.path).expect("the signed file"));
    world.revoke(1, &[Revoked::Digest(digest)]).await;
    stopped_within_bound(&world.operator, &a, &world.echo.id).await;
    assert!(runs(&world.operator, &a, &other.id).await);
}

/// The same module, with every section length written in five bytes.
fn padded(wasm: &[u8]) -> Vec<u8> {
    let (mut padded, mut at) = (wasm[..8].to_vec(), 8);
    while at < wasm.len() {
        let (mut length, mut shift, mut body) = (0usize, 0, at + 1);
        loop {
            let byte = wasm[body];
            (length, shift, body) = (length | usize::from(byte & 0x7f) << shift, shift + 7, body + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        padded.push(wasm[at]);
        padded.extend((0..5).map(|n| ((length >> (7 * n)) & 0x7f) as u8 | if n < 4 { 0x80 } else { 0 }));
        padded.extend_from_slice(&wasm[body..body + length]);
        at = body + length;
    }
    padded
}

/// A component that holds nothing but a binary.
fn around(wasm: &[u8]) -> Vec<u8> {
    let mut component = claims::wasm::Layer::Component.header().to_vec();
    component.push(if claims::wasm::layer(wasm) == Ok(claims::wasm::Layer::Module) { 1 } else { 4 });
    component.extend((0..5).map(|n| ((wasm.len() >> (7 * n)) & 0x7f) as u8 | if n < 4 { 0x80 } else { 0 }));
    component.extend_from_slice(wasm);
    component
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_revoked_however_it_is_wrapped_and_whoever_signed_it() {
    let Some(world) = running().await else { return };
    let (a, stranger) = (world.lattice.id("a"), Signer::default());
    let signed = std::fs::read(&world.echo.path).expect("the signed file");
    let program = claims::wasm::programs(&signed).expect("it can be walked").whole;
    world.revoke(1, &[Revoked::Digest(program)]).await;
    for host in ["a", "b"] {
        stopped_within_bound(&world.operator, &world.lattice.id(host), &world.echo.id).await;
    }
    let bare = Actor::Echo.wasm();
    let others = [
        ("lengths in five bytes", format!("file://{}", world.signer.write("padded.wasm", &padded(&signed)).display())),
        ("another account and id", stranger.wasm("echo", &bare).reference()),
        ("in a component", stranger.wasm("around", &around(&bare)).reference()),
        ("in a component in a component", stranger.wasm("twice", &around(&around(&padded(&bare)))).reference()),
    ];
    for (what, reference) in others {
        let reason = world.operator.start_actor(&a, &reference).await.expect_err("it is the same program");
        assert!(reason.contains("revoked") && reason.contains(&program.to_string()), "{what}: {reason}");
    }
    world.operator.start_actor(&a, &stranger.actor(Actor::Hello).reference()).await.expect("another program");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_of_a_provider_is_revoked_in_every_archive() {
    let Some(world) = running().await else { return };
    let a = world.lattice.id("a");
    let program = std::fs::read(lattice_tests::binary("wash-keyvalue-redb")).expect("the program");
    let provider = world.signer.provider(&program, lattice_tests::KEYVALUE);
    world.operator.start_provider(&a, &provider.reference()).await.expect("it starts");
    world.revoke(1, &[Revoked::Digest(Sha256::of(&program))]).await;
    eventually_within(BOUND, "the end of a revoked program", || async {
        let running = world.operator.inventory(&a).await.providers;
        if running.is_empty() { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
    let archive = claims::archive::read(&std::fs::read(&provider.path).expect("the archive")).expect("an archive");
    let plain = claims::archive::write(&archive, false).expect("it can be packed");
    let repacked = format!("file://{}", world.signer.write("plain.par", &plain).display());
    let stranger = Signer::default();
    let re_signed = stranger.provider(&program, lattice_tests::KEYVALUE).reference();
    for reference in [provider.reference(), repacked, re_signed] {
        let reason = world.operator.start_provider(&a, &reference).await.expect_err("it is the same program");
        assert!(reason.contains("revoked"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_provider_stops_and_does_not_start_again() {
    let Some(world) = running().await else { return };
    let a = world.lattice.id("a");
    let provider = world.operator.start_provider(&a, "builtin://httpserver").await.expect("it starts");
    let mut events = world.operator.events().await;
    world.revoke(1, &[Revoked::Provider(provider)]).await;
    let mut stopped = None;
    let told = loop {
        let event = tokio::time::timeout(BOUND, events.next()).await.expect("in time").expect("events go on");
        match event.data {
            EventData::ProviderStopped(data) => stopped = Some(data.reason),
            EventData::ProviderRevoked(data) => break data,
            _ => {}
        }
    };
    assert_eq!(stopped.as_deref(), Some("revoked"));
    assert_eq!((told.public_key, told.contract_id.as_str()), (provider, HTTPSERVER));
    assert!(world.operator.inventory(&a).await.providers.is_empty());
    let reason = world.operator.start_provider(&a, "builtin://httpserver").await.expect_err("it is revoked");
    assert!(reason.contains("revoked"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_from_a_revoked_actor_is_refused_wherever_it_runs() {
    let Some(world) = running().await else { return };
    let caller: ActorId = KeyPair::generate(KeyKind::Module).public().try_into().expect("a module key");
    world.lattice.introduce(&caller).await;
    let rpc = RpcClient::nats(world.lattice.nats.client().await, LatticeId::default(), None);
    let call = async || {
        let (origin, target) = (Entity::actor(&caller), Entity::actor(&world.echo.id));
        let host = world.lattice.id("a");
        let payload = bytes::Bytes::from_static(b"\xc0");
        let invocation =
            Invocation::issue(origin, target, "Test.Unknown", payload, world.lattice.cluster(), &host, now());
        rpc.invoke(&RpcSubject::Actor(world.echo.id), invocation.expect("it can be signed"), BOUND).await
    };
    let before = call().await.map_err(|error| error.code().to_owned());
    assert_ne!(before, Err("unauthorized".to_owned()), "nobody is revoked yet");
    world.revoke(1, &[Revoked::Actor(caller)]).await;
    for host in ["a", "b"] {
        knows(&world.lattice.operator_at(host), &[1]).await;
    }
    let error = call().await.expect_err("the caller is revoked");
    assert!(error.code() == "unauthorized" && error.to_string().contains("revoked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_host_revokes_at_its_socket_and_remembers() {
    let cluster = KeyPair::generate(KeyKind::Cluster);
    let key = cluster.clone();
    let host = SingleHost::start_with(move |config| config.cluster_key = Some(key)).await;
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("it starts");
    let token = list(&cluster, 1, &[Revoked::Issuer(signer.account())]);
    host.operator.control.put_revocations(&token).await.expect("accepted");
    stopped_within_bound(&host.operator, &host.id, &echo.id).await;

    let host = host.restart_with(move |config| config.cluster_key = Some(cluster)).await;
    knows(&host.operator, &[1]).await;
    assert!(host.operator.inventory(&host.id).await.actors.is_empty(), "it was taken off the list of what is wanted");
    let reason = host.operator.start_actor(&host.id, &echo.reference()).await.expect_err("it is revoked");
    assert!(reason.contains("revoked"), "{reason}");
}

/// Lets nobody near the bucket of revocations, as a server may that was set up for hosts of others.
const NO_REVOCATIONS: &str = r#"
authorization {
    users: [{
        user: "anybody", password: "unused"
        permissions: { publish: { deny: ["$JS.API.*.*.KV_REVOCATIONS_default", "$KV.REVOCATIONS_default.>"] } }
    }]
}
no_auth_user: "anybody"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forbids_the_lists_keeps_its_links_and_gets_them_when_it_allows_them() {
    let Some(mut nats) = NatsServer::prepare() else { return };
    nats.configure(NO_REVOCATIONS);
    nats.start_again().await;
    let mut lattice = TestLattice::empty(nats);
    for host in ["a", "b"] {
        lattice.add_host(host).await;
    }
    lattice.assemble().await;
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let echo = signer.actor(Actor::Echo);
    operator.start_actor(&lattice.id("a"), &echo.reference()).await.expect("the actor starts");
    let link = http_link(&echo.id, &ProviderId::well_known("httpserver"), &[("address", "127.0.0.1:8080")]);
    lattice.operator_at("a").control.put_link(&link).await.expect("links do not suffer");
    eventually("the link on the other host", || async {
        let links = lattice.operator_at("b").control.links().await.map_err(|error| error.to_string())?;
        if links.links.iter().any(|known| known.actor_id == echo.id) { Ok(()) } else { Err(format!("{links:?}")) }
    })
    .await;

    let token = list(lattice.cluster(), 1, &[Revoked::Actor(echo.id)]);
    lattice.operator_at("a").control.put_revocations(&token).await.expect("it counts where it was put");
    stopped_within_bound(&lattice.operator_at("a"), &lattice.id("a"), &echo.id).await;
    assert!(lattice.operator_at("b").control.revocations().await.expect("an answer").is_empty());

    lattice.nats.stop().await;
    lattice.nats.configure("");
    lattice.nats.start_again().await;
    knows(&lattice.operator_at("b"), &[1]).await;
}
