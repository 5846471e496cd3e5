//! The id of an actor or provider belongs to the account that signed it first, on every host and whatever happens.

use claims::{ActorId, KeyKind, KeyPair, ProviderId, PublicKey, ownership::Transfer};
use lattice::{
    LatticeId,
    control::{AskWhy, ScaleActor, UpdateActor},
    stored_claims::{StoredActor, StoredClaims},
    subject::{LatticeKey, is_owner_key, lattice_bucket, revocation_bucket},
};
use lattice_tests::{Actor, HTTPSERVER, Operator, Signed, Signer, SingleHost, TestLattice, eventually, now};

/// Another account's code under an id.
fn forged(signer: &Signer, id: &ActorId) -> Signed<ActorId> {
    let file = signer.actor_with(Actor::Hello, |claims| claims.subject = id.to_string());
    Signed { id: *id, path: file.path }
}

fn transfer(signer: &KeyPair, subject: PublicKey, to: &Signer) -> String {
    let at = now() * 1000 + 1_000; // behind what was decided in this second
    let transfer = Transfer { lattice: LatticeId::default().to_string(), subject, to: to.account(), at };
    transfer.sign(signer).expect("it can be signed")
}

async fn refused(operator: &Operator, host: &claims::HostId, file: &Signed<ActorId>, owner: &Signer) -> String {
    let reason = operator.start_actor(host, &file.reference()).await.expect_err("it is another's");
    assert!(reason.contains("belongs to") && reason.contains(owner.account().as_str()), "{reason}");
    reason
}

/// Asks until a host refuses a file because its id belongs to `owner`. It is asked under an annotation of its own, so that
/// what runs does not matter.
async fn refuses_in_the_end(operator: &Operator, host: &claims::HostId, file: &Signed<ActorId>, owner: &Signer) {
    eventually("a refusal that names the owner", || async {
        let annotations = [("asked".to_owned(), "again".to_owned())].into();
        let command =
            ScaleActor { actor_ref: file.reference(), max_instances: 1, annotations, ..ScaleActor::default() };
        match operator.scale_as(host, command).await {
            Err(reason) if reason.contains(owner.account().as_str()) && reason.contains("belongs to") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

async fn issuer_in_claims(operator: &Operator, subject: &str) -> Option<String> {
    let rows = operator.control.claims().await.expect("claims");
    rows.iter().find(|row| row.get("sub").is_some_and(|sub| sub == subject)).and_then(|row| row.get("iss").cloned())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_account_starts_updates_or_runs_beside_it() {
    let Some(mut lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, alice, mallory) = (lattice.operator().await, Signer::default(), Signer::default());
    let (a, b) = (lattice.id("a"), lattice.id("b"));
    let echo = alice.actor(Actor::Echo);
    operator.start_actor(&a, &echo.reference()).await.expect("it starts");
    let theirs = forged(&mallory, &echo.id);

    let reason = refused(&operator, &b, &theirs, &alice).await;
    let command = format!("wash claims transfer actor {} --to {}", echo.id, mallory.account());
    assert!(reason.contains(&command), "the next step: {reason}");
    let annotations = [("of".to_owned(), "mallory".to_owned())].into();
    let beside = ScaleActor { actor_ref: theirs.reference(), max_instances: 1, annotations, ..ScaleActor::default() };
    let reason = operator.scale_as(&a, beside).await.expect_err("another annotation set is no other id");
    assert!(reason.contains("belongs to") || reason.contains("different image reference"), "{reason}");
    let update = UpdateActor {
        actor_id: echo.id,
        new_actor_ref: theirs.reference(),
        annotations: [].into(),
        host_id: String::new(),
    };
    let error = operator.control.update_actor(&a, &update).await.expect_err("an update is no way in");
    assert!(error.to_string().contains("belongs to"), "{error}");
    assert_eq!(issuer_in_claims(&operator, echo.id.as_str()).await, Some(alice.account().to_string()));

    // Also when nothing of it runs, on a host that has only heard of it, after its restart.
    operator.stop_actor(&a, &echo.id).await.expect("it stops");
    lattice.start_again("b").await;
    refused(&lattice.operator_at("b"), &b, &theirs, &alice).await;
    operator.start_actor(&b, &echo.reference()).await.expect("its owner's starts everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_took_the_place_of_a_file_is_not_taken_up_by_a_restart() {
    let (host, alice, mallory) = (SingleHost::start().await, Signer::default(), Signer::default());
    let echo = alice.actor(Actor::Echo);
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("it starts");
    std::fs::copy(forged(&mallory, &echo.id).path, &echo.path).expect("a file like any other");
    let host = host.restart().await;
    let asked = AskWhy { reference: Some(echo.reference()), ..AskWhy::default() };
    eventually("the refusal", || async {
        let known = host.operator.control.why(&host.id, &asked).await.map_err(|error| error.to_string())?;
        let codes: Vec<_> = known.failures.iter().map(|failure| failure.code.clone()).collect();
        if codes == ["other_owner"] { Ok(()) } else { Err(format!("{codes:?}")) }
    })
    .await;
    assert!(host.operator.inventory(&host.id).await.actors.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_owner_or_the_cluster_key_gives_it_away_and_nobody_else() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, alice, bob, mallory) =
        (lattice.operator().await, Signer::default(), Signer::default(), Signer::default());
    let (a, b) = (lattice.id("a"), lattice.id("b"));
    let echo = alice.actor(Actor::Echo);
    let subject = echo.id.public_key();
    operator.start_actor(&a, &echo.reference()).await.expect("it starts");

    let put = async |token: String| operator.control.put_owner(&token).await.map_err(|error| error.to_string());
    let error = put(transfer(mallory.key(), subject, &mallory)).await.expect_err("not theirs to give");
    assert!(error.contains("--force"), "{error}");
    let stranger = KeyPair::generate(KeyKind::Cluster);
    put(transfer(&stranger, subject, &mallory)).await.expect_err("a cluster key nobody trusts");

    let given = transfer(alice.key(), subject, &bob);
    put(given.clone()).await.expect("its owner's word");
    let of_bob = forged(&bob, &echo.id);
    for (operator, host) in [(lattice.operator_at("a"), a), (lattice.operator_at("b"), b)] {
        refuses_in_the_end(&operator, &host, &forged(&mallory, &echo.id), &bob).await;
        refuses_in_the_end(&operator, &host, &forged(&alice, &echo.id), &bob).await;
    }
    assert!(operator.inventory(&a).await.actors.iter().any(|actor| actor.id == echo.id), "what runs goes on");
    operator.start_actor(&b, &of_bob.reference()).await.expect("its new owner's");

    // An operator decides otherwise; what was overheard does nothing a second time.
    let at = now() * 1000 + 5_000;
    let back = Transfer { lattice: LatticeId::default().to_string(), subject, to: alice.account(), at };
    put(back.sign(lattice.cluster()).expect("signs")).await.expect("an operator's word");
    // Whichever host is asked: one that has not heard of it yet refuses as well, for another reason.
    eventually("a word of before is known as one", || async {
        let error = put(given.clone()).await.expect_err("a word of before");
        if error.contains("older") { Ok(()) } else { Err(error) }
    })
    .await;
    refuses_in_the_end(&lattice.operator_at("a"), &a, &forged(&bob, &echo.id), &alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_accounts_that_use_a_new_id_at_once_one_gets_it() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (alice, mallory) = (Signer::default(), Signer::default());
    let (at_a, at_b, a, b) = (lattice.operator_at("a"), lattice.operator_at("b"), lattice.id("a"), lattice.id("b"));
    for _ in 0..3 {
        let first = alice.actor(Actor::Echo);
        let second = forged(&mallory, &first.id);
        let (of_alice, of_mallory) = (first.reference(), second.reference());
        let started = tokio::join!(at_a.start_actor(&a, &of_alice), at_b.start_actor(&b, &of_mallory));
        assert!(started.0.is_ok() != started.1.is_ok(), "{started:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_were_apart_agree_on_who_came_first() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (alice, mallory) = (Signer::default(), Signer::default());
    let (at_a, at_b, a, b) = (lattice.operator_at("a"), lattice.operator_at("b"), lattice.id("a"), lattice.id("b"));
    let echo = alice.actor(Actor::Echo);
    lattice.cut("b");
    at_a.start_actor(&a, &echo.reference()).await.expect("it starts");
    at_b.start_actor(&b, &forged(&mallory, &echo.id).reference()).await.expect("`b` cannot know");
    lattice.heal("b");
    for (operator, host) in [(at_a, a), (at_b, b)] {
        refuses_in_the_end(&operator, &host, &forged(&mallory, &echo.id), &alice).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_wiped_broker_nor_a_changed_bucket_forgets_the_owner() {
    let Some(mut lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, alice, mallory) = (lattice.operator().await, Signer::default(), Signer::default());
    let echo = alice.actor(Actor::Echo);
    operator.start_actor(&lattice.id("a"), &echo.reference()).await.expect("it starts");
    let jetstream = async_nats::jetstream::new(lattice.nats.client().await);
    let bucket = jetstream.get_key_value(revocation_bucket(&LatticeId::default())).await.expect("the bucket");
    let keys = futures_util::TryStreamExt::try_collect::<Vec<String>>(bucket.keys().await.expect("keys")).await;
    let [key] = &keys.expect("keys")[..] else { panic!("one record") };
    assert!(is_owner_key(key));
    let token = bucket.get(key).await.expect("a value").expect("a value");
    for way in ["delete", "damage"] {
        match way {
            "delete" => bucket.delete(key).await.expect("deleted"),
            _ => drop(bucket.put(key, "junk".into()).await.expect("damaged")),
        }
        eventually(&format!("the record after a {way}"), || async {
            match bucket.get(key).await.map_err(|error| error.to_string())? {
                Some(value) if value == token => Ok(()),
                other => Err(format!("{} bytes", other.map_or(0, |value| value.len()))),
            }
        })
        .await;
    }

    lattice.nats.kill().await;
    lattice.nats.wipe();
    lattice.nats.start_again().await;
    lattice.assemble().await;
    lattice.add_host("late").await;
    refuses_in_the_end(&lattice.operator_at("late"), &lattice.id("late"), &forged(&mallory, &echo.id), &alice).await;
}

/// Claims as a host of another maker writes them, which asks nobody.
async fn loaded_elsewhere(lattice: &TestLattice, id: &ActorId, by: &Signer) {
    let claims = StoredClaims::Actor(StoredActor {
        id: *id,
        issuer: by.account(),
        name: "elsewhere".to_owned(),
        capabilities: vec![HTTPSERVER.to_owned()],
        tags: Vec::new(),
        revision: 0,
        version: "1".to_owned(),
        call_alias: None,
    });
    let jetstream = async_nats::jetstream::new(lattice.nats.client().await);
    let bucket = jetstream.get_key_value(lattice_bucket(&LatticeId::default())).await.expect("the bucket");
    bucket.put(LatticeKey::Claims(id.public_key()).render(), claims.to_json().into()).await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hosts_of_other_makers_load_makes_an_owner_once() {
    let Some(mut lattice) = TestLattice::start(["a"]).await else { return };
    let (alice, mallory) = (Signer::default(), Signer::default());
    let id = alice.actor(Actor::Echo).id;
    for (by, name) in [(&alice, "alice"), (&mallory, "mallory")] {
        loaded_elsewhere(&lattice, &id, by).await;
        let operator = lattice.operator_at("a");
        eventually(&format!("claims by {name}"), || async {
            let issuer = issuer_in_claims(&operator, id.as_str()).await;
            if issuer == Some(by.account().to_string()) { Ok(()) } else { Err(format!("{issuer:?}")) }
        })
        .await;
    }
    let a = lattice.id("a");
    refused(&lattice.operator_at("a"), &a, &forged(&mallory, &id), &alice).await;
    lattice.start_again("a").await;
    refused(&lattice.operator_at("a"), &a, &forged(&mallory, &id), &alice).await;
    lattice.operator_at("a").start_actor(&a, &forged(&alice, &id).reference()).await.expect("the first comer's");
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_owned_too_and_the_ids_of_builtin_ones_are_taken() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, alice, mallory) = (lattice.operator().await, Signer::default(), Signer::default());
    let a = lattice.id("a");
    let store = std::fs::read(lattice_tests::binary("wash-keyvalue-redb")).expect("the program");
    let provider = alice.provider(&store, lattice_tests::KEYVALUE);
    operator.start_provider(&a, &provider.reference()).await.expect("it starts");
    operator.stop_provider(&a, &provider.id).await.expect("it stops");

    let theirs = mallory.provider_as(provider.id, &store, lattice_tests::KEYVALUE);
    let reason = operator.start_provider(&a, &theirs.reference()).await.expect_err("another's");
    assert!(reason.contains(&format!("wash claims transfer provider {}", provider.id)), "{reason}");
    let builtin = mallory.provider_as(ProviderId::well_known("httpserver"), &store, HTTPSERVER);
    let reason = operator.start_provider(&a, &builtin.reference()).await.expect_err("taken");
    assert!(reason.contains("builtin://httpserver"), "{reason}");
    operator.start_provider(&a, "builtin://httpserver").await.expect("the one that is compiled in");
}
