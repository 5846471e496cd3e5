//! A link that changes while calls come: to another provider, back again, and to other values. No call fails.

mod keyvalue_support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use claims::ProviderId;
use keyvalue_support::{COUNTERS, Counting, redis_archive};
use lattice_tests::{KEYVALUE, Operator, Redis, Signer, TestLattice, eventually, link, try_get};
use tokio::task::JoinSet;

/// Requests from a few clients, one after another each, until told to end.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (stop, done) = (stop.clone(), done.clone());
            clients.spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match try_get(address, "/load").await {
                        Ok(answer) if answer.status.is_success() => {}
                        other => failures.push(format!("{other:?}")),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                failures
            });
        }
        Self { stop, done, clients }
    }

    /// Waits for some requests more.
    async fn goes_on(&self) {
        let goal = self.done.load(Ordering::Relaxed) + 40;
        eventually("requests", || {
            let done = self.done.load(Ordering::Relaxed);
            std::future::ready(if done >= goal { Ok(()) } else { Err(done) })
        })
        .await;
    }

    /// Ends it; no request may have failed.
    async fn end(self, what: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let failures: Vec<String> = self.clients.join_all().await.into_iter().flatten().collect();
        let done = self.done.load(Ordering::Relaxed);
        assert_eq!(failures, Vec::<String>::new(), "{} of {done} requests failed", failures.len());
        println!("{what}: {done} requests, 0 failed");
    }
}

/// What a counter says; counting is how one asks.
async fn counter(address: SocketAddr, path: &str) -> Result<i64, String> {
    let answer = try_get(address, path).await?;
    let number = answer.body.trim().strip_prefix("{\"counter\":").and_then(|rest| rest.strip_suffix('}')?.parse().ok());
    number.ok_or(answer.body)
}

struct Moving {
    operator: Operator,
    counting: Counting,
    redb: ProviderId,
    redis: ProviderId,
    url: String,
    server: Redis,
    lattice: TestLattice,
    _signer: Signer,
}

/// An actor on `a`, its store on disk on `disk_on`, and Redis through a process on `redis_on`.
async fn moving<const N: usize>(hosts: [&str; N], disk_on: &str, redis_on: &str) -> Option<Moving> {
    let lattice = TestLattice::start(hosts).await?;
    let server = Redis::start().await?;
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let redb = operator.start_provider(&lattice.id(disk_on), "builtin://keyvalue-redb").await.expect("it starts");
    let archive = redis_archive(&signer);
    let redis = operator.start_provider(&lattice.id(redis_on), &archive.reference()).await.expect("it starts");
    let counting = Counting::start(&lattice, "a", COUNTERS[0]).await;
    operator.put(&link(&counting.actor, &redb, KEYVALUE, &[])).await.expect("the link is taken");
    let url = server.url();
    Some(Moving { operator, counting, redb, redis, url, server, lattice, _signer: signer })
}

impl Moving {
    async fn to_redis(&self, values: &[(&str, &str)]) {
        let values = [&[("URL", self.url.as_str())], values].concat();
        let link = link(&self.counting.actor, &self.redis, KEYVALUE, &values);
        self.operator.put(&link).await.expect("the link is taken");
    }

    /// Waits until the calls have arrived in a store where nobody has counted on this path yet.
    async fn arrived(&self, path: &str, before: i64) {
        let (address, mut last) = (self.counting.address, before);
        eventually("the first number of the new store", || {
            let expected = last + 1;
            last = expected;
            async move {
                match counter(address, path).await {
                    Ok(1) => Ok(()),
                    Ok(number) if number == expected => Err(format!("still {number}")),
                    other => panic!("{other:?} after {}", expected - 1),
                }
            }
        })
        .await;
    }
}

async fn there_and_back(moving: Moving, what: &str) {
    let address = moving.counting.address;
    assert_eq!(eventually("a number", || counter(address, "/probe")).await, 1);
    let load = Load::on(address);
    load.goes_on().await;
    moving.to_redis(&[]).await;
    moving.arrived("/probe", 1).await;
    load.goes_on().await;
    let back = link(&moving.counting.actor, &moving.redb, KEYVALUE, &[]);
    moving.operator.put(&back).await.expect("the link is taken");
    // What was counted before the move is there still, and goes on.
    eventually("the store on disk again", || async {
        match counter(address, "/back").await {
            Ok(1) => Err("the other store"),
            Ok(_) => Ok(()),
            Err(_) => Err("an error"),
        }
    })
    .await;
    load.goes_on().await;
    load.end(what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_a_store_in_the_host_and_a_process_of_it() {
    let Some(moving) = moving(["a"], "a", "a").await else { return };
    there_and_back(moving, "one host").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_a_process_on_another_host() {
    let Some(moving) = moving(["a", "b"], "a", "b").await else { return };
    there_and_back(moving, "to another host").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_store_in_another_host() {
    let Some(moving) = moving(["a", "b"], "b", "a").await else { return };
    there_and_back(moving, "from another host").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_values_reach_a_provider_that_runs() {
    let Some(moving) = moving(["a"], "a", "a").await else { return };
    let address = moving.counting.address;
    moving.to_redis(&[("NAMESPACE", "one")]).await;
    assert_eq!(eventually("a number", || counter(address, "/probe")).await, 1);
    moving.arrived("/first", 0).await;
    let load = Load::on(address);
    load.goes_on().await;
    let mut before = counter(address, "/probe").await.expect("a number");
    for namespace in ["two", "three"] {
        moving.to_redis(&[("NAMESPACE", namespace)]).await;
        moving.arrived("/probe", before).await;
        before = 1;
        load.goes_on().await;
    }
    load.end("other values").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_serve_the_link_yet_leaves_it_where_it_is_until_it_can() {
    let Some(mut moving) = moving(["a"], "a", "a").await else { return };
    let address = moving.counting.address;
    assert_eq!(eventually("a number", || counter(address, "/probe")).await, 1);
    moving.server.kill().await;
    let load = Load::on(address);
    let link = link(&moving.counting.actor, &moving.redis, KEYVALUE, &[("URL", &moving.url)]);
    let refused = moving.operator.put(&link).await.expect_err("the server is away");
    assert!(refused.contains(&moving.url), "{refused}");
    load.goes_on().await;
    assert_eq!(counter(address, "/probe").await, Ok(2), "the old store serves");
    moving.server.start_again().await;
    moving.arrived("/probe", 2).await;
    load.goes_on().await;
    load.end("to a server that is away at first").await;
    drop(moving.lattice);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_deleted_is_gone_at_once() {
    let Some(moving) = moving(["a"], "a", "a").await else { return };
    let address = moving.counting.address;
    assert_eq!(eventually("a number", || counter(address, "/probe")).await, 1);
    moving.to_redis(&[]).await;
    let contract = KEYVALUE.parse().expect("a contract id");
    let actor = moving.counting.actor;
    moving.operator.control.delete_link(&actor, &contract, &lattice::LinkName::default()).await.expect("deleted");
    let refusal = eventually("a refusal", || async {
        match counter(address, "/probe").await {
            Ok(number) => Err(number),
            Err(refusal) => Ok(refusal),
        }
    });
    let refusal = tokio::time::timeout(Duration::from_secs(2), refusal).await.expect("soon");
    assert!(refusal.contains("has no link"), "{refusal}");
}
