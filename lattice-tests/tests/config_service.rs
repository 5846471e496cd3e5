//! The config service: registry credentials that a host asks for when it starts (protocol section 8.6).

use std::time::Duration;

use artifacts::{CredentialBook, Credentials, PushContent, Reference, RegistryOptions, Silent};
use bytes::Bytes;
use claims::ActorId;
use futures_util::StreamExt;
use lattice::{
    config_service::{ConfigAnswer, ConfigQuestion},
    control::{RegistryCredential, RegistryCredentials},
    subject,
};
use lattice_tests::{Access, Actor, NatsServer, Registry, Signed, Signer, TestLattice, eventually, subscribe};
use tokio::{sync::watch, time::timeout};

const NONSENSE: Bytes = Bytes::from_static(b"[]");

/// A config service whose answer can be changed; it notes what it was asked, and what it said.
struct Service {
    answer: watch::Sender<Bytes>,
    told: watch::Receiver<Vec<(ConfigQuestion, Bytes)>>,
}

impl Service {
    async fn start(lattice: &TestLattice, answer: Bytes) -> Self {
        let client = lattice.nats.client().await;
        let mut requests = subscribe(&client, subject::config_service(lattice.name())).await;
        let (answer, current) = watch::channel(answer);
        let (tell, told) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let question = serde_json::from_slice(&request.payload).expect("a question");
                let answer = current.borrow().clone();
                client.publish(request.reply.expect("a request"), answer.clone()).await.expect("NATS is there");
                tell.send_modify(|told| told.push((question, answer)));
            }
        });
        Self { answer, told }
    }

    /// The question that had this answer.
    async fn has_told(&self, answer: &Bytes) -> ConfigQuestion {
        let mut told = self.told.clone();
        let is_it = |told: &Vec<(ConfigQuestion, Bytes)>| told.iter().any(|(_, said)| said == answer);
        let told = timeout(Duration::from_secs(20), told.wait_for(is_it)).await.expect("it is asked").expect("it runs");
        told.iter().find(|(_, said)| said == answer).expect("waited for").0.clone()
    }
}

/// A registry with a password, and an actor in it.
struct Shop {
    registry: Registry,
    actor: Signed<ActorId>,
    reference: String,
}

impl Shop {
    async fn open() -> Option<Self> {
        let registry = Registry::start_with(Access { password: true, tls: false }).await?;
        let signer = Signer::default();
        let actor = signer.actor(Actor::Echo);
        let mut book = CredentialBook::new();
        book.set(&registry.authority(), Credentials::basic(Registry::USER, Registry::PASSWORD));
        let insecure = vec![registry.authority()];
        let options = RegistryOptions { insecure, credentials: book, ..RegistryOptions::default() };
        let reference = registry.reference("demo/echo:1");
        let content = PushContent::actor(std::fs::read(&actor.path).expect("a signed file"));
        let parsed = Reference::parse(&reference, None).expect("a reference");
        let client = artifacts::Registry::new(options).expect("a client");
        client.push(&parsed, &content, &Silent).await.expect("it is pushed");
        Some(Self { registry, actor, reference })
    }

    fn credentials(&self, password: &str) -> RegistryCredentials {
        let credential = RegistryCredential {
            username: Some(Registry::USER.to_owned()),
            password: Some(password.to_owned()),
            ..RegistryCredential::default()
        };
        RegistryCredentials([(self.registry.authority(), credential)].into())
    }

    fn answer(&self, password: &str) -> Bytes {
        let answer = ConfigAnswer { registry_credentials: self.credentials(password) };
        serde_json::to_vec(&answer).expect("JSON").into()
    }

    async fn add_asking_host(&self, lattice: &mut TestLattice) {
        let insecure = vec![self.registry.authority()];
        lattice
            .add_host_with("a", |config| {
                config.config_service = true;
                config.artifacts.insecure.clone_from(&insecure);
            })
            .await;
        lattice.assemble().await;
    }

    async fn start(&self, lattice: &TestLattice) -> Result<ActorId, String> {
        lattice.operator().await.start_actor(&lattice.id("a"), &self.reference).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_starts_with_the_credentials_that_the_service_has_for_its_labels() {
    let (Some(nats), Some(shop)) = (NatsServer::start().await, Shop::open().await) else { return };
    let mut lattice = TestLattice::empty(nats);
    let answer = shop.answer(Registry::PASSWORD);
    let service = Service::start(&lattice, answer.clone()).await;
    shop.add_asking_host(&mut lattice).await;
    let question = service.has_told(&answer).await;
    assert_eq!(question.labels.get("host").map(String::as_str), Some("a"));
    assert!(question.labels.contains_key("hostcore.os"), "{question:?}");
    assert_eq!(shop.start(&lattice).await, Ok(shop.actor.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_no_answer_and_the_service_is_asked_again() {
    let (Some(nats), Some(shop)) = (NatsServer::start().await, Shop::open().await) else { return };
    let mut lattice = TestLattice::empty(nats);
    let service = Service::start(&lattice, NONSENSE).await;
    shop.add_asking_host(&mut lattice).await;
    service.has_told(&NONSENSE).await;
    let refused = shop.start(&lattice).await.expect_err("without credentials");
    assert!(refused.contains(&shop.registry.authority()), "{refused}");
    service.answer.send_replace(shop.answer(Registry::PASSWORD));
    eventually("a start with the credentials of the second answer", || shop.start(&lattice)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_put_holds_against_a_later_answer() {
    let (Some(nats), Some(shop)) = (NatsServer::start().await, Shop::open().await) else { return };
    let mut lattice = TestLattice::empty(nats);
    let service = Service::start(&lattice, NONSENSE).await;
    shop.add_asking_host(&mut lattice).await;
    service.has_told(&NONSENSE).await;
    let operator = lattice.operator().await;
    operator.control.put_registries(&shop.credentials(Registry::PASSWORD)).await.expect("the host takes them");
    let wrong = shop.answer("wrong");
    service.answer.send_replace(wrong.clone());
    service.has_told(&wrong).await;
    assert_eq!(shop.start(&lattice).await, Ok(shop.actor.id));
}
