//! A lattice under test: one NATS server, and hosts that reach it through a relay each.
//!
//! Hosts run in this process, or as `wash-host` processes where a test kills them. Each has the label `host={name}`
//! and a state directory that a later start of the same name takes up again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use claims::{ActorId, HostId, KeyKind, KeyPair};
use host::{HostConfig, NativeIssuers};
use lattice::{
    LatticeId,
    client::{ControlClient, NatsOptions},
    stored_claims::{StoredActor, StoredClaims},
    subject::{self, ControlRoot, LatticeKey},
};
use tempfile::TempDir;

use crate::{Caller, Guarded, InProcess, NatsServer, Operator, Relay, binary, eventually};

const CONTROL_TIMEOUT: Duration = Duration::from_secs(2);

/// A lattice; everything ends with the value.
pub struct TestLattice {
    hosts: BTreeMap<String, TestHost>,
    /// The server.
    pub nats: NatsServer,
    id: LatticeId,
    cluster: KeyPair,
    dir: TempDir,
    env: Vec<(String, OsString)>,
}

/// A host under test.
pub struct TestHost {
    /// Its id, as it told itself.
    pub id: HostId,
    /// Its state directory.
    pub state_dir: PathBuf,
    relay: Relay,
    running: Running,
}

enum Running {
    Here(InProcess),
    Process(Guarded),
    No,
}

/// Where a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Here,
    Process,
}

impl TestLattice {
    /// Hosts in this process; none when this machine has no nats-server.
    pub async fn start<const N: usize>(names: [&str; N]) -> Option<Self> {
        Self::start_with(names, |_| {}).await
    }

    /// The same, with changes to the configuration of every host.
    pub async fn start_with<const N: usize>(names: [&str; N], change: impl Fn(&mut HostConfig)) -> Option<Self> {
        let mut lattice = Self::empty(NatsServer::start().await?);
        for name in names {
            lattice.add(name, Home::Here, lattice.dir.path().join(name), &change).await;
        }
        lattice.assemble().await;
        Some(lattice)
    }

    /// Hosts as processes of their own.
    pub async fn start_processes<const N: usize>(names: [&str; N]) -> Option<Self> {
        let mut lattice = Self::empty(NatsServer::start().await?);
        for name in names {
            lattice.add_process(name).await;
        }
        lattice.assemble().await;
        Some(lattice)
    }

    /// No host yet, over a server that may not run yet.
    #[must_use]
    pub fn empty(nats: NatsServer) -> Self {
        Self {
            hosts: BTreeMap::new(),
            nats,
            id: LatticeId::default(),
            cluster: KeyPair::generate(KeyKind::Cluster),
            dir: tempfile::tempdir().expect("a directory"),
            env: Vec::new(),
        }
    }

    /// What host processes started from now on find in their environment besides what every one gets.
    pub fn set_environment(&mut self, env: &[(&str, &OsStr)]) {
        self.env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    /// Adds a host in this process.
    pub async fn add_host(&mut self, name: &str) {
        self.add(name, Home::Here, self.dir.path().join(name), &|_| {}).await;
    }

    /// The same, with changes to its configuration.
    pub async fn add_host_with(&mut self, name: &str, change: impl Fn(&mut HostConfig)) {
        self.add(name, Home::Here, self.dir.path().join(name), &change).await;
    }

    /// Adds a host in this process whose state is in a directory of the test.
    pub async fn add_host_in(&mut self, name: &str, state_dir: &Path) {
        self.add(name, Home::Here, state_dir.to_owned(), &|_| {}).await;
    }

    /// Adds a host as a process of its own, or starts one again that was killed.
    pub async fn add_process(&mut self, name: &str) {
        self.add(name, Home::Process, self.dir.path().join(name), &|_| {}).await;
    }

    /// The configuration that a host of this name would have, reaching NATS directly, with its state in a directory.
    #[must_use]
    pub fn config_in(&self, name: &str, state_dir: &Path) -> HostConfig {
        self.config_at(self.nats.address(), name, state_dir)
    }

    async fn add(&mut self, name: &str, home: Home, state_dir: PathBuf, change: &dyn Fn(&mut HostConfig)) {
        let relay = Relay::start(self.nats.address()).await;
        fs::create_dir_all(&state_dir).expect("a directory");
        let running = match home {
            Home::Here => {
                let mut config = self.config_at(relay.address(), name, &state_dir);
                change(&mut config);
                Running::Here(InProcess::start(config).await)
            }
            Home::Process => Running::Process(self.spawn(name, &relay, &state_dir)),
        };
        let socket = socket_operator(&state_dir, &self.id);
        let id = eventually(&format!("host `{name}` on its control socket"), || async {
            let hosts = socket.hosts().await.map_err(|error| error.to_string())?;
            hosts.first().map(|host| host.id).ok_or("no host".to_owned())
        })
        .await;
        self.hosts.insert(name.to_owned(), TestHost { id, state_dir, relay, running });
    }

    /// Waits until every host answers over NATS.
    pub async fn assemble(&self) {
        let operator = self.operator().await;
        eventually("every host in the lattice", || async {
            let answered: Vec<HostId> = match operator.hosts().await {
                Ok(hosts) => hosts.iter().map(|host| host.id).collect(),
                Err(error) => return Err(error.to_string()),
            };
            let missing: Vec<&String> =
                self.hosts.iter().filter(|(_, host)| !answered.contains(&host.id)).map(|(name, _)| name).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
        })
        .await;
    }

    fn config_at(&self, nats: SocketAddr, name: &str, state_dir: &Path) -> HostConfig {
        let mut config = HostConfig::new(self.id.clone(), state_dir.to_owned());
        config.ctl = Some(NatsOptions {
            urls: vec![format!("nats://{nats}")],
            name: name.to_owned(),
            retry: true,
            ..NatsOptions::default()
        });
        config.rpc = config.ctl.clone();
        config.labels.insert("host".to_owned(), name.to_owned());
        config.cluster_key = Some(self.cluster.clone());
        config.allow_file_load = true;
        config.native_issuers = NativeIssuers::Any; // tests sign with accounts of their own
        config
    }

    fn spawn(&self, name: &str, relay: &Relay, state_dir: &Path) -> Guarded {
        let args: Vec<OsString> = vec![
            "--lattice".into(),
            self.id.to_string().into(),
            "--nats-host".into(),
            relay.address().ip().to_string().into(),
            "--nats-port".into(),
            relay.address().port().to_string().into(),
            "--state-dir".into(),
            state_dir.into(),
            "--label".into(),
            format!("host={name}").into(),
            "--allow-file-load".into(),
            "true".into(),
            "--allowed-issuer".into(),
            "any".into(),
        ];
        let seed = OsString::from(self.cluster.seed().expose());
        let home = self.dir.path().as_os_str();
        let mut env = vec![("WASMCLOUD_CLUSTER_SEED", &*seed), ("WASH_HOME", home), ("HOME", home)];
        env.extend(self.env.iter().map(|(name, value)| (name.as_str(), value.as_os_str())));
        Guarded::start(&binary("wash-host"), &args, &env, &self.dir.path().join(format!("{name}.log")))
    }

    /// The cluster key that every host of this lattice signs with and trusts.
    #[must_use]
    pub fn cluster(&self) -> &KeyPair {
        &self.cluster
    }

    /// Lets the lattice know claims of an actor that runs nowhere, which grant it HTTP requests and key-value stores.
    ///
    /// # Panics
    /// When the hosts of the lattice have not made its bucket yet, or do not hear of it.
    pub async fn introduce(&self, actor: &ActorId) {
        self.introduce_all(std::slice::from_ref(actor)).await;
    }

    /// The same for many.
    ///
    /// # Panics
    /// As [`Self::introduce`].
    pub async fn introduce_all(&self, actors: &[ActorId]) {
        let store = async_nats::jetstream::new(self.nats.client().await);
        let bucket = store.get_key_value(subject::lattice_bucket(&self.id)).await.expect("the bucket of the lattice");
        for actor in actors {
            introduce_in(&bucket, actor).await;
        }
        for name in self.hosts.keys() {
            eventually("the claims of actors at every host", || self.has_heard_of(name, actors)).await;
        }
    }

    async fn has_heard_of(&self, host: &str, actors: &[ActorId]) -> Result<(), String> {
        let rows = self.operator_at(host).control.claims().await.map_err(|error| error.to_string())?;
        let known: BTreeSet<_> = rows.iter().filter_map(|row| row.get("sub")).collect();
        match actors.iter().find(|actor| !known.contains(&actor.to_string())) {
            Some(actor) => Err(format!("`{host}` has not heard of {actor}")),
            None => Ok(()),
        }
    }

    /// An operator who reaches NATS directly.
    pub async fn operator(&self) -> Operator {
        let root = ControlRoot::new(self.id.clone());
        Operator { control: ControlClient::nats(self.nats.client().await, root, CONTROL_TIMEOUT) }
    }

    /// An operator on the machine of a host, at its control socket.
    #[must_use]
    pub fn operator_at(&self, name: &str) -> Operator {
        socket_operator(&self.host(name).state_dir, &self.id)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &LatticeId {
        &self.id
    }

    /// Calls actors at the control socket of a host.
    #[must_use]
    pub fn caller(&self, name: &str) -> Caller {
        Caller::socket(self.host(name).state_dir.join("host.sock"), self.cluster.clone())
    }

    /// Calls actors with signed invocations over NATS.
    pub async fn signed_caller(&self) -> Caller {
        Caller::nats(self.nats.client().await, self.cluster.clone())
    }

    /// Which handshakes and batches a host of this process refused so far.
    ///
    /// # Panics
    /// When it is no host of this process.
    #[must_use]
    pub fn session_refusals(&self, name: &str) -> BTreeMap<&'static str, u64> {
        match &self.host(name).running {
            Running::Here(host) => host.session_refusals(),
            Running::Process(_) | Running::No => panic!("host `{name}` is not in this process"),
        }
    }

    /// A host.
    ///
    /// # Panics
    /// When there is none of this name.
    #[must_use]
    pub fn host(&self, name: &str) -> &TestHost {
        self.hosts.get(name).expect("a host of this name")
    }

    /// The id of a host.
    #[must_use]
    pub fn id(&self, name: &str) -> HostId {
        self.host(name).id
    }

    /// Cuts a host off: its connections end, and new ones are refused.
    pub fn cut(&self, name: &str) {
        self.host(name).relay.cut();
    }

    /// Cuts a host off without telling it.
    pub fn silence(&self, name: &str) {
        self.host(name).relay.silence();
    }

    /// Makes everything between a host and NATS arrive this much later, in each direction.
    pub fn delay(&self, name: &str, delay: Duration) {
        self.host(name).relay.delay(delay);
    }

    /// Makes so many of a hundred pieces between a host and NATS wait for their retransmission.
    pub fn lose(&self, name: &str, percent: u64) {
        self.host(name).relay.lose(percent);
    }

    /// Connects a host again.
    pub fn heal(&self, name: &str) {
        self.host(name).relay.heal();
    }

    /// The process of a host.
    ///
    /// # Panics
    /// When it is not a process.
    pub fn process(&mut self, name: &str) -> &mut Guarded {
        match self.hosts.get_mut(name).map(|host| &mut host.running) {
            Some(Running::Process(process)) => process,
            _ => panic!("host `{name}` is not a process"),
        }
    }

    /// Stops a host in order.
    ///
    /// # Panics
    /// When there is none of this name.
    pub async fn stop(&mut self, name: &str) {
        let host = self.hosts.get_mut(name).expect("a host of this name");
        match std::mem::replace(&mut host.running, Running::No) {
            Running::Here(host) => host.stop().await,
            Running::Process(mut process) => process.terminate().await,
            Running::No => {}
        }
    }

    /// Starts a host that was stopped or killed, in this process, with the state it had.
    pub async fn start_again(&mut self, name: &str) {
        self.stop(name).await;
        let state_dir = self.host(name).state_dir.clone();
        self.add(name, Home::Here, state_dir, &|_| {}).await;
    }

    /// The same as a process of its own.
    pub async fn start_process_again(&mut self, name: &str) {
        self.stop(name).await;
        self.add_process(name).await;
    }
}

/// An operator at the control socket in a state directory.
pub(crate) fn socket_operator(state_dir: &Path, id: &LatticeId) -> Operator {
    let root = ControlRoot::new(id.clone());
    Operator { control: ControlClient::socket(state_dir.join("host.sock"), root, CONTROL_TIMEOUT) }
}

async fn introduce_in(bucket: &async_nats::jetstream::kv::Store, actor: &ActorId) {
    let claims = StoredClaims::Actor(StoredActor {
        id: *actor,
        issuer: KeyPair::generate(KeyKind::Account).public().try_into().expect("an account key"),
        name: "runs nowhere".to_owned(),
        capabilities: [crate::HTTPSERVER, crate::KEYVALUE].map(str::to_owned).into(),
        tags: Vec::new(),
        revision: 1,
        version: String::new(),
        call_alias: None,
    });
    let key = LatticeKey::Claims(claims.subject()).render();
    bucket.put(key, claims.to_json().into()).await.expect("claims are kept");
}
