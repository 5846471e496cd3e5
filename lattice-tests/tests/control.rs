//! The control interface as any client sees it: who answers how often, and what the JSON holds.

use futures_util::StreamExt;
use lattice::{
    LatticeId,
    subject::{ControlRoot, ControlSubject},
};
use lattice_tests::{Actor, Signer, TestLattice, http_link};
use serde_json::{Value, json};

struct Wire {
    client: async_nats::Client,
    root: ControlRoot,
}

impl Wire {
    async fn of(lattice: &TestLattice) -> Self {
        Self { client: lattice.nats.client().await, root: ControlRoot::new(LatticeId::default()) }
    }

    /// Sends one request and gives every reply there is. All hosts answer a ping behind it, so that a reply which
    /// should not be there is not missed.
    async fn replies(&self, subject: &ControlSubject, payload: Vec<u8>, hosts: usize) -> Vec<Value> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.expect("an inbox");
        self.client.publish_with_reply(subject.render(&self.root), inbox, payload.into()).await.expect("it is sent");
        let first = answers.next().await.expect("an answer");
        let mut replies = vec![json_of(&first.payload)];

        let ping_inbox = self.client.new_inbox();
        let mut pings = self.client.subscribe(ping_inbox.clone()).await.expect("an inbox");
        let ping = ControlSubject::PingHosts.render(&self.root);
        self.client.publish_with_reply(ping, ping_inbox, "".into()).await.expect("it is sent");
        for _ in 0..hosts {
            pings.next().await.expect("every host answers");
        }
        self.client.flush().await.expect("the server is there");
        while let Some(Some(more)) = futures_util::FutureExt::now_or_never(answers.next()) {
            replies.push(json_of(&more.payload));
        }
        replies
    }

    async fn request(&self, subject: String, payload: &str) -> Value {
        let reply = self.client.request(subject, payload.to_owned().into()).await.expect("an answer");
        json_of(&reply.payload)
    }
}

fn json_of(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(payload)))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_answer_what_is_asked_of_the_lattice_once_and_what_is_asked_of_everybody_twice() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let wire = Wire::of(&lattice).await;
    let signer = Signer::default();
    let provider = claims::ProviderId::well_known("httpserver");
    let link = http_link(&signer.actor(Actor::Echo).id, &provider, &[("port", "1")]).to_json();

    for (subject, payload, times) in [
        (ControlSubject::GetClaims, Vec::new(), 1),
        (ControlSubject::GetLinks, Vec::new(), 1),
        (ControlSubject::PutLink, link.clone(), 1),
        (ControlSubject::DeleteLink, link, 1),
        (ControlSubject::PingHosts, Vec::new(), 2),
        (ControlSubject::AuctionActor, br#"{"actor_ref":"file:///x","constraints":{}}"#.to_vec(), 2),
    ] {
        let replies = wire.replies(&subject, payload, 2).await;
        assert_eq!(replies.len(), times, "{subject:?}: {replies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_and_an_inventory_hold_what_clients_of_the_protocol_read() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (wire, signer, operator) = (Wire::of(&lattice).await, Signer::default(), lattice.operator().await);
    let a = lattice.id("a");
    let echo = signer.actor(Actor::Echo);
    operator.start_provider(&a, "builtin://httpserver").await.expect("it starts");
    operator.start_actor(&a, &echo.reference()).await.expect("it starts");

    let ping = wire.request(ControlSubject::PingHosts.render(&wire.root), "").await;
    for member in
        ["id", "issuer", "friendly_name", "uptime_human", "version", "cluster_issuers", "ctl_host", "rpc_host"]
    {
        assert!(ping[member].as_str().is_some_and(|text| !text.is_empty()), "`{member}` in {ping}");
    }
    assert_eq!((&ping["lattice"], &ping["lattice_prefix"]), (&json!("default"), &json!("default")));
    assert!(ping["uptime_seconds"].is_u64() && ping["labels"]["hostcore.os"].is_string(), "{ping}");

    let inventory = wire.request(ControlSubject::GetInventory(a).render(&wire.root), "").await;
    assert_eq!(inventory["host_id"], a.as_str());
    for member in ["issuer", "friendly_name", "version", "uptime_human"] {
        assert!(inventory[member].is_string(), "`{member}` in {inventory}");
    }
    assert_eq!(inventory["labels"]["host"], "a");
    let actor = &inventory["actors"][0];
    assert_eq!((&actor["id"], &actor["name"]), (&json!(echo.id.as_str()), &json!("echo")));
    let instance = &actor["instances"][0];
    assert!(instance["annotations"].is_object() && instance["revision"].is_i64(), "{instance}");
    assert_eq!((&instance["max_instances"], &instance["image_ref"]), (&json!(10), &json!(echo.reference())));
    let provider = &inventory["providers"][0];
    assert_eq!((&provider["contract_id"], &provider["link_name"]), (&json!("wasmcloud:httpserver"), &json!("default")));
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_strings_under_old_and_new_names() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (wire, signer, operator) = (Wire::of(&lattice).await, Signer::default(), lattice.operator().await);
    let echo = signer.actor(Actor::Echo);
    operator.start_actor(&lattice.id("a"), &echo.reference()).await.expect("it starts");

    let claims = wire.request(ControlSubject::GetClaims.render(&wire.root), "").await;
    let row = &claims["claims"][0];
    assert!(row.as_object().is_some_and(|row| row.values().all(Value::is_string)), "{row}");
    for (old, new) in [("sub", "subject"), ("iss", "issuer"), ("caps", "capabilities"), ("rev", "revision")] {
        assert_eq!(row[old], row[new], "{row}");
    }
    assert_eq!((&row["sub"], &row["caps"]), (&json!(echo.id.as_str()), &json!("wasmcloud:httpserver")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_with_a_reason_in_valid_json() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let wire = Wire::of(&lattice).await;
    let scale = ControlSubject::Command(lattice.id("a"), lattice::subject::HostCommand::ScaleActor).render(&wire.root);
    for (subject, payload, reason) in [
        (scale.clone(), "[]", "failed to deserialize actor scale command"),
        (scale.clone(), "{\"actor_ref\": \"quote\\\"d", "failed to deserialize actor scale command"),
        (scale.replace(".scale", ".nonsense"), "{}", "unsupported subject"),
        (ControlSubject::PutLink.render(&wire.root), "{\"actor_id\":\"M\"}", "failed to deserialize link definition"),
    ] {
        let ack = wire.request(subject, payload).await;
        assert_eq!(ack["accepted"], false, "{payload}: {ack}");
        assert!(ack["error"].as_str().is_some_and(|error| error.contains(reason)), "{payload}: {ack}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_kept_by_one_host_and_read_from_the_other() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let signer = Signer::default();
    let entity = claims::PublicKey::from(signer.actor(Actor::Echo).id);
    let (a, b) = (lattice.operator_at("a").control, lattice.operator_at("b").control);
    a.put_config(&entity, "color", b"red").await.expect("it is kept");
    lattice_tests::eventually("the value on the other host", || async {
        match b.config(&entity, "color").await {
            Ok(Some(value)) if value == b"red" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
