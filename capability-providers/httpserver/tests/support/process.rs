//! `wash-httpserver` as a host starts it, and a nats-server between it and the test, which plays host and actors.

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use provider_sdk::{
    claims::{ActorId, ClusterId, HostId, KeyKind, KeyPair, ProviderId},
    contracts::{
        CallError, codec,
        httpserver::{CONTRACT, HttpRequest, HttpResponse},
    },
    lattice::{
        HostData, Link, OtelConfig, Secret,
        client::{NatsOptions, ReplayGuard, RpcClient, RpcResponder, connect},
        control::Ack,
        invocation::{Entity, Invocation},
        subject::RpcSubject,
    },
};

use crate::support::{self, PATIENCE, actor, free_address, soon};

/// Waits until `condition` is some.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A child process that does not outlive its test.
pub struct Running(pub Child);

impl Running {
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the process to end", async || self.0.try_wait().unwrap()).await
    }

    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a nats-server; `None`, said aloud, when this machine has none. In CI that is a failure.
pub async fn nats_server(port: u16) -> Option<Running> {
    let binary = std::env::var_os("NATS_SERVER_BIN").map(PathBuf::from).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|file| file.is_file())
    });
    let Some(binary) = binary else {
        test_needs::skip("a nats-server");
        return None;
    };
    let mut command = Command::new(binary);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    Some(Running(command.spawn().unwrap()))
}

/// A host with a cluster key, and a provider it starts.
pub struct Lattice {
    pub host: HostId,
    pub provider: ProviderId,
    pub cluster: KeyPair,
    pub nats: SocketAddr,
}

impl Lattice {
    pub fn new() -> Self {
        Self {
            host: KeyPair::generate(KeyKind::Server).public().try_into().unwrap(),
            provider: KeyPair::generate(KeyKind::Service).public().try_into().unwrap(),
            cluster: KeyPair::generate(KeyKind::Cluster),
            nats: free_address(),
        }
    }

    pub fn link(&self, number: u8, values: &[(&str, &str)]) -> Link {
        Link { provider_id: self.provider, ..support::link(actor(number), values) }
    }

    pub fn host_data(&self, links: Vec<Link>) -> HostData {
        HostData {
            host_id: self.host,
            lattice: "test".parse().unwrap(),
            link_name: "default".parse().unwrap(),
            lattice_rpc_user_jwt: String::new(),
            lattice_rpc_user_seed: Secret::default(),
            lattice_rpc_url: format!("nats://{}", self.nats),
            lattice_rpc_tls: None,
            provider_key: self.provider,
            invocation_seed: Secret::new(self.cluster.seed().expose()),
            invocation_delegation: None,
            env_values: Default::default(),
            instance_id: String::new(),
            link_definitions: links,
            cluster_issuers: vec![self.issuer()],
            config_json: None,
            default_rpc_timeout_ms: Some(2000),
            structured_logging: false,
            log_level: None,
            otel_config: OtelConfig::default(),
        }
    }

    /// Starts the provider as a host does: no environment, one line on standard input.
    pub fn start(&self, links: Vec<Link>) -> Running {
        start(&self.host_data(links).to_stdin_line())
    }

    pub fn issuer(&self) -> ClusterId {
        self.cluster.public().try_into().unwrap()
    }

    pub async fn connect(&self) -> Connection<'_> {
        let options = NatsOptions { urls: vec![self.nats.to_string()], retry: true, ..NatsOptions::default() };
        let nats = connect(&options).await.unwrap();
        soon(nats.flush()).await.unwrap();
        Connection { lattice: self, nats }
    }
}

/// Starts the provider with this on its standard input.
pub fn start(stdin: &str) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wash-httpserver"));
    let mut child = command.env_clear().stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    Running(child)
}

/// The test's side of the lattice.
pub struct Connection<'a> {
    lattice: &'a Lattice,
    nats: async_nats::Client,
}

impl Connection<'_> {
    fn subject(&self, make: impl Fn(ProviderId, provider_sdk::lattice::LinkName) -> RpcSubject) -> String {
        make(self.lattice.provider, "default".parse().unwrap()).render(&"test".parse().unwrap())
    }

    /// One request; none when nobody listens yet.
    async fn request(&self, subject: String, payload: Vec<u8>) -> Option<Bytes> {
        Some(soon(self.nats.request(subject, payload.into())).await.ok()?.payload)
    }

    pub async fn put(&self, link: &Link) -> Ack {
        let subject = self.subject(|id, link_name| RpcSubject::LinkPut { id, link_name });
        self.change(&subject, link).await
    }

    pub async fn delete(&self, link: &Link) -> Ack {
        let subject = self.subject(|id, link_name| RpcSubject::LinkDel { id, link_name });
        self.change(&subject, link).await
    }

    async fn change(&self, subject: &str, link: &Link) -> Ack {
        let answer = eventually("an ack", async || self.request(subject.to_owned(), link.to_msgpack()).await).await;
        Ack::from_reply(&answer).unwrap()
    }

    pub async fn health(&self) -> Bytes {
        let subject = self.subject(|id, link_name| RpcSubject::Health { id, link_name });
        eventually("health", async || self.request(subject.clone(), Vec::new()).await).await
    }

    /// Publishes a shutdown request; whether it is answered shows in the reply.
    pub async fn shut_down(&self, request: Vec<u8>) -> Bytes {
        let subject = self.subject(|id, link_name| RpcSubject::Shutdown { id, link_name });
        soon(self.nats.request(subject, request.into())).await.unwrap().payload
    }

    pub async fn publish_shut_down(&self, request: Vec<u8>) {
        let subject = self.subject(|id, link_name| RpcSubject::Shutdown { id, link_name });
        self.nats.publish(subject, request.into()).await.unwrap();
    }

    /// Calls the provider as an actor, signed by `cluster`.
    pub async fn call_as(&self, number: u8, cluster: &KeyPair) -> CallError {
        let (id, link_name) = (self.lattice.provider, "default".parse().unwrap());
        let target = Entity::provider(&id, &link_name, &CONTRACT.parse().unwrap());
        let subject = RpcSubject::Provider { id, link_name };
        let client = RpcClient::nats(self.nats.clone(), "test".parse().unwrap(), None);
        let (origin, now) = (Entity::actor(&actor(number)), unix_time());
        let issue = || {
            let (origin, target) = (origin.clone(), target.clone());
            Invocation::issue(origin, target, "X.Y", Bytes::new(), cluster, &self.lattice.host, now).unwrap()
        };
        soon(client.invoke(&subject, issue(), PATIENCE)).await.expect_err("there is no such operation")
    }

    /// Serves one actor: a request with a signature of our cluster is answered with what it said.
    pub async fn serve(&self, id: ActorId) {
        let lattice = "test".parse().unwrap();
        let responder = RpcResponder::new(self.nats.clone(), &lattice, None);
        let mut calls = self.nats.subscribe(RpcSubject::Actor(id).render(&lattice)).await.unwrap();
        soon(self.nats.flush()).await.unwrap();
        let (trusted, replays) = (BTreeSet::from([self.lattice.issuer()]), ReplayGuard::default());
        let expected =
            Entity::provider(&self.lattice.provider, &"default".parse().unwrap(), &CONTRACT.parse().unwrap());
        tokio::spawn(async move {
            while let Some(message) = calls.next().await {
                let incoming = responder.accept(&message, unix_time(), &trusted, &replays).await.unwrap();
                assert_eq!(incoming.invocation.origin, expected);
                assert_eq!(incoming.invocation.operation, "HttpServer.HandleRequest");
                let request: HttpRequest = codec::decode("request", &incoming.invocation.msg).unwrap();
                let body = format!("{} {}?{}", request.method, request.path, request.query_string).into_bytes();
                let response =
                    HttpResponse { status_code: 200, body: [body, request.body].concat(), ..HttpResponse::default() };
                responder.respond(&incoming.reply_to, Ok(codec::encode(&response).unwrap().into())).await.unwrap();
            }
        });
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
