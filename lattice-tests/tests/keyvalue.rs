//! HTTP → actor → key-value store → answer: both kinds of actors, every store in each of its homes, on one host and on two.

mod keyvalue_support;

use std::{fs, net::SocketAddr, time::Duration};

use keyvalue_support::{COUNTERS, Counting, redb_archive, redis_archive};
use lattice_tests::{
    Actor, KEYVALUE, Redis, Signer, TestLattice, eventually, get, kill, link, processes_below, try_get,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const REDB: &str = "builtin://keyvalue-redb";

/// Both actors count from 1 in a store that `values` lead to.
async fn both_count(lattice: &TestLattice, actors_on: &str, store_on: &str, store: &str, values: &[(&str, &str)]) {
    let operator = lattice.operator().await;
    let provider = operator.start_provider(&lattice.id(store_on), store).await.expect("the store starts");
    for actor in COUNTERS {
        let counting = Counting::start(lattice, actors_on, actor).await;
        let link = link(&counting.actor, &provider, KEYVALUE, values);
        operator.put(&link).await.expect("the link is taken");
        let path = format!("/{actor:?}");
        for expected in 1..=3 {
            assert_eq!(get(counting.address, &path).await, format!("{{\"counter\":{expected}}}\n"), "{actor:?}");
        }
        assert_eq!(get(counting.address, &format!("/other{path}")).await.trim(), "{\"counter\":1}");
        operator.unlink(&counting.actor).await.expect("the server is free again");
        operator.control.delete_link(&counting.actor, &link.contract_id, &link.link_name).await.expect("deleted");
        counting.stop(lattice, actors_on).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_store_of_the_host() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    both_count(&lattice, "a", "a", REDB, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_store_of_another_host() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    both_count(&lattice, "a", "b", REDB, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_store_on_disk_that_is_a_process_here_and_on_another_host() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let signer = Signer::default();
    both_count(&lattice, "a", "a", &redb_archive(&signer).reference(), &[]).await;
    both_count(&lattice, "a", "b", &redb_archive(&signer).reference(), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_redis_through_a_process_here_and_on_another_host() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let Some(redis) = Redis::start().await else { return };
    let (signer, url) = (Signer::default(), redis.url());
    let here = [("URL", url.as_str()), ("NAMESPACE", "one")];
    both_count(&lattice, "a", "a", &redis_archive(&signer).reference(), &here).await;
    let there = [("URL", url.as_str()), ("NAMESPACE", "two")];
    both_count(&lattice, "a", "b", &redis_archive(&signer).reference(), &there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_keeps_its_stores_until_the_last_request_is_answered() {
    for store in [REDB.to_owned(), redb_archive(&Signer::default()).reference()] {
        let Some(mut lattice) = TestLattice::start(["a"]).await else { return };
        let operator = lattice.operator().await;
        let provider = operator.start_provider(&lattice.id("a"), &store).await.expect("the store starts");
        // A module: it begins when the whole request is there.
        let counting = Counting::start(&lattice, "a", Actor::KvCounter).await;
        operator.put(&link(&counting.actor, &provider, KEYVALUE, &[])).await.expect("the link is taken");
        get(counting.address, "/slow").await;
        let mut request = begun_request(counting.address).await;
        let late = async {
            refused(counting.address).await;
            request.write_all(b"body").await.expect("sent");
            let mut answer = String::new();
            let read = timeout(Duration::from_secs(10), request.read_to_string(&mut answer)).await;
            read.expect("in time").expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("{\"counter\":2}"), "{store}: {answer}");
        };
        tokio::join!(lattice.stop("a"), late);
    }
}

/// A request whose body of four bytes is awaited.
async fn begun_request(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let head = "POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    let read = timeout(Duration::from_secs(10), stream.read_exact(&mut go_on)).await;
    read.expect("in time").expect("the server asks for the body");
    stream
}

/// Waits until nobody listens.
async fn refused(address: SocketAddr) {
    eventually("that no connection is taken", || async {
        if TcpStream::connect(address).await.is_err() { Ok(()) } else { Err("somebody listens") }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_disk_keeps_what_it_has_when_its_process_is_killed_and_when_its_host_restarts() {
    let Some(mut lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let archive = redb_archive(&signer);
    operator.start_provider(&lattice.id("a"), &archive.reference()).await.expect("the store starts");
    let counting = Counting::start(&lattice, "a", COUNTERS[0]).await;
    operator.put(&link(&counting.actor, &archive.id, KEYVALUE, &[])).await.expect("the link is taken");
    assert_eq!(get(counting.address, "/n").await.trim(), "{\"counter\":1}");

    let state_dir = lattice.host("a").state_dir.clone();
    let [pid] = processes_below(&state_dir)[..] else { panic!("one process runs") };
    kill(pid);
    assert_eq!(counts_on(&counting).await, 2);
    lattice.start_again("a").await;
    assert_eq!(counts_on(&counting).await, 3);
    assert!(
        fs::exists(state_dir.join("data").join(archive.id.as_str()).join("default/keyvalue.redb")).expect("a look")
    );
}

/// The next number, once there is one. A call that ends with an error here has changed nothing: nobody was there.
async fn counts_on(counting: &Counting) -> i64 {
    eventually("the next number", || async {
        let answer = try_get(counting.address, "/n").await?;
        let number =
            answer.body.trim().strip_prefix("{\"counter\":").and_then(|rest| rest.strip_suffix('}')?.parse().ok());
        number.ok_or(answer.body)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_named_to_whoever_asked_the_actor() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let Some(mut redis) = Redis::start().await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let archive = redis_archive(&signer);
    operator.start_provider(&lattice.id("a"), &archive.reference()).await.expect("the provider starts");
    for actor in COUNTERS {
        let counting = Counting::start(&lattice, "a", actor).await;
        operator.put(&link(&counting.actor, &archive.id, KEYVALUE, &[("URL", &redis.url())])).await.expect("taken");
        assert_eq!(counts_on(&counting).await, 1);
        redis.kill().await;
        let answer = try_get(counting.address, "/n").await.expect("an answer");
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains(&redis.url()), "{}", answer.body);
        redis.start_again().await;
        assert_eq!(counts_on(&counting).await, 1, "a Redis without disk begins anew");
        operator.unlink(&counting.actor).await.expect("the server is free again");
        redis.kill().await;
        redis.start_again().await;
    }
}
