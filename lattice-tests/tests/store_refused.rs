//! Accounts that do not let a lattice have its buckets: hosts know each other, writes say how far they got, and settings help.

use std::time::Duration;

use claims::revocation::RevocationList;
use lattice::{
    client::{ControlClient, NatsOptions},
    control::AskWhy,
    subject::ControlRoot,
};
use lattice_tests::{Actor, InProcess, NatsServer, Operator, Signer, TestLattice, eventually, free_address, http_link};

/// A server with one account, in which everybody is.
async fn server(jetstream: &str) -> Option<NatsServer> {
    let mut server = NatsServer::prepare()?;
    server.configure(&format!(
        "no_auth_user: all\naccounts {{ A {{ {jetstream} users: [ {{ user: all, password: all }} ] }} }}\n"
    ));
    server.start_again().await;
    Some(server)
}

async fn two_hosts(server: NatsServer) -> TestLattice {
    let mut lattice = TestLattice::empty(server);
    for name in ["a", "b"] {
        lattice.add_host(name).await;
    }
    lattice.assemble().await;
    lattice
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_know_each_other_and_a_write_that_stays_on_one_host_says_so() {
    for (jetstream, reason) in [
        ("jetstream: { max_file: 1G, max_mem: 1G, max_bytes_required: true },", "max bytes"),
        ("jetstream: { max_file: 1G, max_mem: 1G, max_streams: 1 },", "maximum number of streams"),
        ("jetstream: { max_file: 0, max_mem: 1G },", "storage"),
        ("", "JetStream"),
    ] {
        let Some(server) = server(jetstream).await else { return };
        let lattice = two_hosts(server).await;
        let operator = lattice.operator().await;
        for name in ["a", "b"] {
            let host = lattice.id(name);
            let known = eventually(&format!("host `{name}` knows that the store is refused: {jetstream}"), || async {
                let known = operator.control.why(&host, &AskWhy::default()).await.map_err(|error| error.to_string())?;
                known.nats.store_refused.clone().ok_or(format!("{:?}", known.nats))
            })
            .await;
            assert!(known.to_lowercase().contains(&reason.to_lowercase()), "{jetstream}: {known}");
        }
        for _ in 0..20 {
            assert_eq!(operator.hosts().await.expect("they answer").len(), 2, "{jetstream}");
        }
        let signer = Signer::default();
        let echo = signer.actor(Actor::Echo);
        operator.start_actor(&lattice.id("b"), &echo.reference()).await.expect("actors start");
        let provider = operator.start_provider(&lattice.id("a"), "builtin://httpserver").await.expect("it starts");
        let link = http_link(&echo.id, &provider, &[("address", &free_address().to_string())]);
        let error = operator.control.put_link(&link).await.expect_err("one host alone keeps it");
        assert_eq!(error.code(), "kept_here", "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("docs/nats.md")));

        let list = RevocationList { lattice: lattice.name().to_string(), number: 1, entries: Vec::new() };
        let token = list.sign(lattice.cluster(), lattice_tests::now()).expect("it can be signed");
        let error = operator.control.put_revocations(&token).await.expect_err("one host alone keeps it");
        assert_eq!(error.code(), "kept_here", "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_of_a_size_that_was_set_satisfy_an_account_that_demands_one() {
    let Some(server) = server("jetstream: { max_file: 1G, max_mem: 1G, max_bytes_required: true },").await else {
        return;
    };
    let mut lattice = TestLattice::empty(server);
    for name in ["a", "b"] {
        let small = |config: &mut host::HostConfig| config.buckets.max_bytes = Some(1 << 20);
        lattice.add_host_with(name, small).await;
    }
    lattice.assemble().await;
    let operator = lattice.operator().await;
    let echo = Signer::default().actor(Actor::Echo);
    let provider = operator.start_provider(&lattice.id("a"), "builtin://httpserver").await.expect("it starts");
    let link = http_link(&echo.id, &provider, &[("address", &free_address().to_string())]);
    eventually("a link that the lattice keeps", || async {
        operator.control.put_link(&link).await.map_err(|error| error.to_string())
    })
    .await;
    let jetstream = async_nats::jetstream::new(lattice.nats.client().await);
    for stream in ["KV_LATTICEDATA_default", "KV_CONFIGDATA_default", "KV_REVOCATIONS_default", "OBJ_default"] {
        let mut stream = jetstream.get_stream(stream).await.unwrap_or_else(|error| panic!("{stream}: {error}"));
        assert_eq!(stream.info().await.expect("it answers").config.max_bytes, 1 << 20);
    }
    let at_b = lattice.operator_at("b");
    eventually("the link on the other host", || async {
        let links = at_b.control.links().await.map_err(|error| error.to_string())?.links;
        if links.contains(&link) { Ok(()) } else { Err(format!("{links:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_says_why_the_server_does_not_let_it_in() {
    let Some(mut server) = NatsServer::prepare() else { return };
    server.configure("authorization { user: ada, password: right }");
    server.start_again().await;
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = host::HostConfig::new("default".parse().expect("a name"), dir.path().to_owned());
    config.ctl = Some(NatsOptions {
        urls: vec![server.url()],
        user: Some("ada".to_owned()),
        password: Some("wr0ng".to_owned()),
        retry: true,
        ..NatsOptions::default()
    });
    let host = InProcess::start(config).await;
    let root = ControlRoot::new("default".parse().expect("a name"));
    let control = ControlClient::socket(dir.path().join("host.sock"), root, Duration::from_secs(5));
    let operator = Operator { control };
    let id = eventually("the host", || async {
        Ok::<_, String>(operator.hosts().await.map_err(|error| error.to_string())?.first().ok_or("none")?.id)
    })
    .await;
    let problem = eventually("the reason", || async {
        let known = operator.control.why(&id, &AskWhy::default()).await.map_err(|error| error.to_string())?;
        known.nats.problem.clone().ok_or(format!("{:?}", known.nats))
    })
    .await;
    assert_eq!(problem.code, "nats_denied", "{problem:?}");
    assert!(!problem.message.contains("wr0ng"), "{problem:?}");
    host.stop().await;
}
