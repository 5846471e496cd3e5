//! Questions for sessions that are forged, as fast as they can be sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use claims::{ClusterId, KeyKind, KeyPair};
use lattice::{
    session::{Hello, Parties},
    subject::RpcSubject,
};
use lattice_tests::now;
use tokio::time::sleep;

use crate::measure::Scene;

const ATTACK: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure"]
async fn a12_forged_session_questions() {
    let Some(scene) = Scene::new(&[]).await else { return };
    let lattice = &scene.lattice;
    // In the name of the trusted key and of a new nonce each time, with a signature that is none.
    let trusted = ClusterId::try_from(lattice.cluster().public()).expect("a cluster key");
    let from = KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key");
    let parties = Parties { lattice: lattice.name().clone(), from, to: lattice.id("a"), cluster: trusted };
    let (template, _) = Hello::ask(parties, 600, &KeyPair::generate(KeyKind::Cluster), now());
    let subject = RpcSubject::Session(lattice.id("a")).render(lattice.name());
    let (client, end, sent) = (lattice.nats.client().await, Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let (ended, counted) = (end.clone(), sent.clone());
    let flood = tokio::spawn(async move {
        while !ended.load(Relaxed) {
            let mut question = template.clone();
            let at = question.len() - 64 - 4 - 8 - 32;
            question[at - 8..at].copy_from_slice(&counted.fetch_add(1, Relaxed).to_be_bytes());
            client.publish_with_reply(subject.clone(), "_INBOX.nobody", question.into()).await.expect("NATS is there");
        }
        client.flush().await.expect("NATS is there");
    });
    let attack = async {
        sleep(ATTACK).await; // how long it lasts
        end.store(true, Relaxed);
        flood.await.expect("it ends");
    };
    let (cost, ()) = scene.attack(attack).await;
    let rate = sent.load(Relaxed) / ATTACK.as_secs();
    cost.tell("A12, forged session questions", &format!("{rate} a second"));
    assert!(cost.grown() < 150, "{cost:?}");
    assert!(cost.answered() > 0, "{cost:?}");
}
