//! NATS as grown-ups run it: TLS with certificates on both sides, every kind of credentials, and permissions per role.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use claims::{ActorId, HostId, KeyKind, KeyPair, ProviderId};
use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use lattice::{
    LatticeId,
    client::{ControlClient, NatsOptions, Use, connect, connect_watched},
    subject::{ControlRoot, Role},
};
use lattice_tests::{
    Actor, HTTPSERVER, NatsServer, Operator, Signer, SingleHost, binary, eventually, free_address, get, http_link, post,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyUsagePurpose};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(5);

fn root(lattice: &str) -> ControlRoot {
    ControlRoot::new(lattice.parse().expect("a lattice"))
}

/// Certificates of an authority, a server on the loopback and a client.
struct Certificates(TempDir);

impl Certificates {
    fn make() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = || rcgen::KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate of an authority");
        fs::write(dir.path().join("ca.pem"), authority.pem()).expect("written");
        for (name, host) in [("server", "127.0.0.1"), ("client", "client.test")] {
            let key = key();
            let params = CertificateParams::new([host.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &authority).expect("a certificate");
            fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).expect("written");
            fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).expect("written");
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self, server: &NatsServer) -> NatsOptions {
        NatsOptions {
            urls: vec![server.url()],
            tls_ca: Some(self.path("ca.pem")),
            tls_cert: Some(self.path("client.pem")),
            tls_key: Some(self.path("client.key")),
            connect_timeout: TIMEOUT,
            ..NatsOptions::default()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_certificates_on_both_sides_carries_hosts_operators_and_providers() {
    let Some(mut server) = NatsServer::prepare() else { return };
    let certificates = Certificates::make();
    server.configure(&format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        certificates.path("server.pem"),
        certificates.path("server.key"),
        certificates.path("ca.pem")
    ));
    server.start_again().await;
    let options = certificates.options(&server);

    let stranger = NatsOptions { tls_ca: None, tls_cert: None, tls_key: None, ..options.clone() };
    let error = connect(&stranger).await.expect_err("an authority that nobody trusts");
    assert_eq!(error.code(), "nats_tls", "{error}");
    assert!(error.hint().contains("--nats-tls-ca"), "{}", error.hint());
    let renamed = NatsOptions { urls: vec![server.url().replace("127.0.0.1", "localhost")], ..options.clone() };
    let error = connect(&renamed).await.expect_err("the certificate is for another name");
    assert!(error.code() == "nats_tls" && error.to_string().contains("another name"), "{error}");
    let nameless = NatsOptions { tls_cert: None, tls_key: None, ..options.clone() };
    let error = connect(&nameless).await.expect_err("the server wants to know who calls");
    assert!(error.code() == "nats_tls" && error.hint().contains("--nats-tls-cert"), "{error}: {}", error.hint());
    let half = NatsOptions { tls_key: None, ..options.clone() };
    assert_eq!(connect(&half).await.expect_err("half a certificate").code(), "nats_tls_pair");
    let absent = NatsOptions { tls_ca: Some("/nowhere/ca.pem".into()), ..options.clone() };
    let error = connect(&absent).await.expect_err("no such file");
    assert_eq!(error.code(), "nats_tls_file");
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");

    let of_host = NatsOptions { retry: true, ..options.clone() };
    let host = SingleHost::start_with(|config| config.ctl = Some(of_host)).await;
    let client = connect(&options).await.expect("both sides know each other");
    let operator = Operator { control: ControlClient::nats(client, root("default"), TIMEOUT) };
    eventually("the host over TLS", || async { operator.hosts().await.map(drop) }).await;
    let signer = Signer::default();
    let par = signer.provider(&fs::read(binary("wash-httpserver")).expect("the program"), HTTPSERVER);
    let provider = operator.start_provider(&host.id, &par.reference()).await.expect("the process starts");
    let echo = operator.start_actor(&host.id, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    let address = free_address();
    operator.link(&echo, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    assert!(get(address, "/tls").await.contains("/tls"), "a provider process speaks TLS as its host does");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_token_and_several_addresses() {
    for (config, good, bad) in [
        (
            "authorization { user: ada, password: \"p@ss/w\" }",
            NatsOptions { user: Some("ada".into()), password: Some("p@ss/w".into()), ..NatsOptions::default() },
            NatsOptions { user: Some("ada".into()), password: Some("wrong".into()), ..NatsOptions::default() },
        ),
        (
            "authorization { token: \"t:0k/en\" }",
            NatsOptions { token: Some("t:0k/en".into()), ..NatsOptions::default() },
            NatsOptions { token: Some("other".into()), ..NatsOptions::default() },
        ),
    ] {
        let Some(mut server) = NatsServer::prepare() else { return };
        server.configure(config);
        server.start_again().await;
        let closed = format!("nats://{}", free_address());
        let urls = vec![closed, server.url()];
        connect(&NatsOptions { urls: urls.clone(), ..good.clone() }).await.expect("one of two addresses will do");
        let in_address = NatsOptions { urls: vec![server.url()], ..good }.url_with_login();
        connect(&NatsOptions { urls: vec![in_address], ..NatsOptions::default() }).await.expect("as providers get it");
        let error = connect(&NatsOptions { urls: vec![server.url()], ..bad }).await.expect_err("refused");
        assert_eq!(error.code(), "nats_denied");
    }
}

/// A NATS JWT: signed by `issuer`, about `subject`.
fn nats_jwt(issuer: &KeyPair, subject: &str, claims: serde_json::Value) -> String {
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let body = serde_json::json!({
        "jti": HEXUPPER.encode(&subject.as_bytes()[..16]),
        "iat": lattice_tests::now(),
        "iss": issuer.public().to_string(),
        "sub": subject,
        "name": "test",
        "nats": claims,
    });
    let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(body.to_string().as_bytes()));
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_jwt_with_its_seed_and_the_credentials_file_of_both() {
    let Some(mut server) = NatsServer::prepare() else { return };
    let key = KeyPair::generate;
    let (operator, account, system, user) =
        (key(KeyKind::Operator), key(KeyKind::Account), key(KeyKind::Account), key(KeyKind::User));
    let limits = serde_json::json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1});
    let of_account = serde_json::json!({"type": "account", "version": 2, "limits": limits});
    let of_system = serde_json::json!({"type": "account", "version": 2, "limits":
        {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1}});
    let text = |key: &KeyPair| key.public().to_string();
    let of_operator = serde_json::json!({"type": "operator", "version": 2, "system_account": text(&system)});
    server.configure(&format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}\n {}: {} }}\n",
        nats_jwt(&operator, &text(&operator), of_operator),
        text(&system),
        text(&account),
        nats_jwt(&operator, &text(&account), of_account),
        text(&system),
        nats_jwt(&operator, &text(&system), of_system),
    ));
    server.start_again().await;
    let of_user = serde_json::json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let jwt = nats_jwt(&account, &text(&user), of_user);
    let seed = user.seed().expose().to_owned();
    let options = NatsOptions { urls: vec![server.url()], connect_timeout: TIMEOUT, ..NatsOptions::default() };
    let error = connect(&options).await.expect_err("nobody");
    assert_eq!(error.code(), "nats_denied");
    connect(&NatsOptions { jwt: Some(jwt.clone()), seed: Some(seed.clone()), ..options.clone() })
        .await
        .expect("a user");

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("user.creds");
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    fs::write(&file, creds).expect("written");
    connect(&NatsOptions { creds_file: Some(file.clone()), ..options.clone() }).await.expect("as `wash` takes it");
    let parsed = lattice::client::Creds::parse(&fs::read_to_string(&file).expect("read")).expect("as a host takes it");
    assert_eq!((parsed.jwt, parsed.seed), (Some(jwt), seed));
}

/// The users of a server: a key and a role each.
#[derive(Default)]
struct Users(BTreeMap<String, (KeyPair, Role, LatticeId)>);

impl Users {
    fn add(&mut self, name: &str, role: Role, lattice: &str) {
        let lattice = lattice.parse().expect("a lattice");
        self.0.insert(name.to_owned(), (KeyPair::generate(KeyKind::User), role, lattice));
    }

    fn configuration(&self) -> String {
        let user = |(key, role, lattice): &(KeyPair, Role, LatticeId)| {
            let permissions = role.permissions(lattice);
            format!(
                "{{ nkey: {}, permissions: {{ publish: {:?}, subscribe: {:?}{} }} }}",
                key.public(),
                permissions.publish,
                permissions.subscribe,
                if permissions.responds { ", allow_responses: { max: 1, expires: \"1m\" }" } else { "" },
            )
        };
        let users: Vec<String> = self.0.values().map(user).collect();
        format!("authorization {{ users = [\n{}\n] }}", users.join("\n"))
    }

    fn seed(&self, name: &str) -> String {
        self.0[name].0.seed().expose().to_owned()
    }

    fn options(&self, server: &NatsServer, name: &str) -> NatsOptions {
        NatsOptions {
            urls: vec![server.url()],
            seed: Some(self.seed(name)),
            inbox_prefix: self.0[name].1.inbox(),
            connect_timeout: TIMEOUT,
            ..NatsOptions::default()
        }
    }

    async fn operator(&self, server: &NatsServer, name: &str, lattice: &str) -> Operator {
        let (client, denials) = connect_watched(&self.options(server, name)).await.expect("a user of the server");
        Operator { control: ControlClient::nats(client, root(lattice), TIMEOUT).with_denials(denials) }
    }
}

/// A host, a provider process, an operator and an observer, each with the permissions of its role and no more.
struct Roles {
    server: NatsServer,
    users: Users,
    host: SingleHost,
    operator: Operator,
    signer: Signer,
    provider: ProviderId,
    echo: ActorId,
    _creds: TempDir,
}

async fn roles() -> Option<Roles> {
    let mut server = NatsServer::prepare()?;
    let signer = Signer::default();
    let host_key = KeyPair::generate(KeyKind::Server);
    let host_id = HostId::try_from(host_key.public()).expect("a host key");
    let par = signer.provider(&fs::read(binary("wash-httpserver")).expect("the program"), HTTPSERVER);
    let mut users = Users::default();
    users.add("host", Role::Host(host_id), "default");
    users.add("provider", Role::Provider(par.id), "default");
    users.add("operator", Role::Operator, "default");
    users.add("observer", Role::Observer, "default");
    users.add("elsewhere", Role::Operator, "other");
    server.configure(&users.configuration());
    server.start_again().await;

    let creds = tempfile::tempdir().expect("a directory");
    fs::write(creds.path().join(format!("{}.creds", par.id)), users.seed("provider")).expect("written");
    let (of_host, directory) = (users.options(&server, "host"), creds.path().to_owned());
    let host = SingleHost::start_with(|config| {
        config.host_key = Some(host_key);
        config.ctl = Some(NatsOptions { retry: true, ..of_host });
        config.provider_creds = Some(directory);
    })
    .await;
    let operator = users.operator(&server, "operator", "default").await;
    eventually("the host over NATS", || async { operator.hosts().await.map(drop) }).await;
    let provider = operator.start_provider(&host.id, &par.reference()).await.expect("the process starts");
    let echo = operator.start_actor(&host.id, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    Some(Roles { server, users, host, operator, signer, provider, echo, _creds: creds })
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_permissions_of_their_roles_host_provider_and_operator_do_their_work() {
    let Some(world) = roles().await else { return };
    let address = free_address();
    let operator = &world.operator;
    operator.link(&world.echo, &world.provider, &[("address", &address.to_string())]).await.expect("it is taken");
    assert!(get(address, "/scoped").await.contains("/scoped"));
    let large = post(address, "/large", vec![b'x'; 1_500_000]).await.expect("an answer");
    assert!(large.status.is_success(), "a payload through the object store: {:?}", large.status);
    operator.control.put_label(&world.host.id, "zone", "edge").await.expect("an operator commands");
    operator.unlink(&world.echo).await.expect("an operator commands");
    // What the host was not allowed would be known by now.
    let seen = world.host.operator.control.why(&world.host.id, &lattice::control::AskWhy::default()).await;
    let nats = seen.expect("the host answers").nats;
    assert!(nats.control && nats.rpc && nats.forbidden.is_empty(), "{nats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_can_touch_neither_control_nor_state_nor_another_lattice() {
    let Some(world) = roles().await else { return };
    let (client, denials) = connect_watched(&world.users.options(&world.server, "provider")).await.expect("a user");
    let (host, provider) = (world.host.id, world.provider);
    let other: ProviderId = KeyPair::generate(KeyKind::Service).public().try_into().expect("a provider key");
    let publish = [
        format!("wasmbus.ctl.default.cmd.{host}.stop"),
        "wasmbus.ctl.default.linkdefs.put".to_owned(),
        "wasmbus.ctl.default.ping.hosts".to_owned(),
        "wasmbus.evt.default.host_stopped".to_owned(),
        "$KV.LATTICEDATA_default.LINKDEF_x".to_owned(),
        "$JS.API.STREAM.DELETE.KV_LATTICEDATA_default".to_owned(),
        "$JS.API.DIRECT.GET.KV_LATTICEDATA_default.x".to_owned(),
        format!("wasmbus.rpc.default.{other}.default"),
        format!("wasmbus.rpc.default.{other}.default.linkdefs.put"),
        format!("wasmbus.rpc.other.{}", world.echo),
        "$O.other.M.x".to_owned(),
    ];
    let subscribe = [
        "wasmbus.ctl.default.>".to_owned(),
        "wasmbus.evt.default".to_owned(),
        format!("wasmbus.rpc.default.{}", world.echo),
        format!("wasmbus.rpc.default.{other}.default"),
        "wasmbus.rpc.other.>".to_owned(),
        format!("_INBOX.{host}.>"),
        "$KV.LATTICEDATA_default.>".to_owned(),
    ];
    for subject in &publish {
        client.publish(subject.clone(), "x".into()).await.expect("sent");
    }
    let mut kept = Vec::new();
    for subject in &subscribe {
        kept.push(client.subscribe(subject.clone()).await.expect("sent"));
    }
    eventually("every one of them forbidden", || async {
        let all = denials.all();
        let denied = |operation: Use, subject: &String| {
            all.iter().any(|forbidden| forbidden.operation == operation && forbidden.subject == *subject)
        };
        let open: Vec<&String> = publish
            .iter()
            .filter(|subject| !denied(Use::Publish, subject))
            .chain(subscribe.iter().filter(|subject| !denied(Use::Subscribe, subject)))
            .collect();
        if open.is_empty() { Ok(()) } else { Err(format!("open: {open:?}")) }
    })
    .await;
    assert_eq!(denials.all().len(), publish.len() + subscribe.len());
    let inventory = world.operator.inventory(&host).await;
    assert!(inventory.providers.iter().any(|running| running.id == provider), "nothing came of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_sees_and_cannot_change_and_strangers_are_told_at_once() {
    let Some(world) = roles().await else { return };
    let observer = world.users.operator(&world.server, "observer", "default").await;
    assert_eq!(observer.hosts().await.expect("hosts").len(), 1);
    assert_eq!(observer.inventory(&world.host.id).await.actors.len(), 1);
    observer.control.links().await.expect("links");
    observer.control.claims().await.expect("claims");
    observer.control.revocations().await.expect("revocations");
    let question = lattice::control::AskWhy { actor: Some(world.echo), ..Default::default() };
    assert!(observer.control.why(&world.host.id, &question).await.expect("why").actor.expect("it").running);
    let mut events = observer.events().await;
    world.operator.control.put_label(&world.host.id, "zone", "edge").await.expect("an operator commands");
    world.operator.control.put_link(&http_link(&world.echo, &world.provider, &[])).await.expect("a link");
    tokio::time::timeout(TIMEOUT, events.next()).await.expect("it hears").expect("an event");

    let started = std::time::Instant::now();
    let error = observer.control.put_label(&world.host.id, "zone", "core").await.expect_err("it may not");
    assert_eq!(error.code(), "nats_forbidden", "{error}");
    assert!(error.to_string().contains(&format!("labels.{}.put", world.host.id)), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("docs/nats.md")));
    assert!(started.elapsed() < TIMEOUT / 2, "not by a timeout: {:?}", started.elapsed());

    let stranger = world.users.operator(&world.server, "elsewhere", "default").await;
    assert_eq!(stranger.hosts().await.expect_err("another lattice").code(), "nats_forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_credentials_of_its_own_does_not_get_those_of_the_host() {
    let Some(world) = roles().await else { return };
    let par = world.signer.provider(b"#!/bin/sh\nexec /bin/sleep 60\n", HTTPSERVER);
    let reason = world.operator.start_provider(&world.host.id, &par.reference()).await.expect_err("no credentials");
    assert!(reason.contains(par.id.as_str()) && reason.contains("default.creds"), "{reason}");
    let _: &Path = world._creds.path();
}
