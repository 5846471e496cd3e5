//! TLS: whom we trust, and what is said when it fails.

mod common;

use std::sync::Arc;

use artifacts::{Credentials, PushContent, Registry, RegistryOptions, Silent};
use common::{Answer, Server, Shelf, Store, options, wasm};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// An authority of our own, and a server certificate by it.
struct Authority {
    pem: tempfile::NamedTempFile,
    acceptor: TlsAcceptor,
}

fn authority_for(name: &str) -> Authority {
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let pem = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(pem.path(), issuer.pem()).expect("written");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("a server");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Authority { pem, acceptor: TlsAcceptor::from(Arc::new(config)) }
}

fn over_tls(server: &Server, authority: Option<&Authority>) -> Registry {
    let extra_ca = authority.iter().map(|authority| authority.pem.path().to_owned()).collect();
    Registry::new(RegistryOptions { insecure: Vec::new(), extra_ca, ..options(server) }).expect("a client")
}

#[tokio::test]
async fn an_authority_of_our_own_is_trusted_when_named() {
    let authority = authority_for("127.0.0.1");
    let actor = wasm(300_000, 1);
    let shelf = Shelf::with_actor(&actor);
    let server = Server::start_with(Some(authority.acceptor.clone()), move |seen| shelf.answer(seen)).await;
    let store = Store::new(over_tls(&server, Some(&authority)));
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("an actor").bytes, actor);

    assert_eq!(server.seen()[0].header("host"), None, "over HTTP/2, which has no such header");

    let error = over_tls(&server, None).ping(&server.authority()).await.expect_err("not trusted");
    assert_eq!(error.code(), "registry_tls");
    assert!(!error.is_away(), "the cache is no way around it");
    assert!(error.next_step().contains("--ca-file"), "{}", error.next_step());

    let stranger = authority_for("127.0.0.1");
    let error = over_tls(&server, Some(&stranger)).ping(&server.authority()).await.expect_err("not trusted");
    assert_eq!(error.code(), "registry_tls");
}

#[tokio::test]
async fn a_push_goes_over_tls_too() {
    let authority = authority_for("127.0.0.1");
    let server = Server::start_with(Some(authority.acceptor.clone()), move |seen| match seen.method.as_str() {
        "HEAD" => Answer::new(404, ""),
        "POST" => Answer::new(202, "").with("location", "/upload"),
        _ => Answer::new(201, ""),
    })
    .await;
    let actor = wasm(3_000_000, 1);
    let content = PushContent::actor(actor.clone());
    over_tls(&server, Some(&authority)).push(&Shelf::reference(&server), &content, &Silent).await.expect("pushed");
    let uploaded = server.seen().into_iter().find(|seen| seen.method == "PUT").expect("an upload");
    assert_eq!((&uploaded.body, uploaded.header("content-length")), (&actor, Some("3000000")));
}

#[tokio::test]
async fn a_certificate_for_somebody_else_is_refused() {
    let authority = authority_for("other.test");
    let server = Server::start_with(Some(authority.acceptor.clone()), |_| Answer::new(200, "{}")).await;
    let error = over_tls(&server, Some(&authority)).ping(&server.authority()).await.expect_err("another name");
    assert_eq!(error.code(), "registry_tls");
    assert!(!error.next_step().contains("--ca-file"), "{}", error.next_step());
}

#[tokio::test]
async fn plain_http_where_tls_was_expected_names_the_flag() {
    let server = Server::start(|_| Answer::new(200, "{}")).await;
    let error = over_tls(&server, None).ping(&server.authority()).await.expect_err("no TLS");
    assert_eq!(error.code(), "registry_without_tls");
    assert!(error.next_step().contains("--insecure"), "{}", error.next_step());
    assert_eq!(server.seen().len(), 0, "and nothing was said in the clear");

    let authority = authority_for("127.0.0.1");
    let server = Server::start_with(Some(authority.acceptor.clone()), |_| Answer::new(200, "{}")).await;
    let error = common::registry(&server).ping(&server.authority()).await.expect_err("TLS only");
    assert_eq!(error.code(), "registry_unreachable");
}

#[tokio::test]
async fn nothing_leads_out_of_tls() {
    let authority = authority_for("127.0.0.1");
    let plain = Server::start(|_| Answer::new(200, r#"{"token":"x"}"#)).await;
    let place = plain.url("/blob");
    let shelf = Shelf::with_actor(&wasm(2_000, 1));
    let server =
        Server::start_with(Some(authority.acceptor.clone()), move |seen| match seen.path.contains("/blobs/") {
            true => Answer::new(302, "").with("location", place.clone()),
            false => shelf.answer(seen),
        })
        .await;
    let error = Store::new(over_tls(&server, Some(&authority))).refusal(&Shelf::reference(&server)).await;
    assert_eq!(error.code(), "insecure_redirect");
    assert!(error.to_string().contains(&plain.authority()) && !error.to_string().contains("/blob"), "{error}");

    let realm = plain.url("/token");
    let server = Server::start_with(Some(authority.acceptor.clone()), move |_| {
        Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"{realm}\""))
    })
    .await;
    let registry = over_tls(&server, Some(&authority));
    registry.set_credentials(&server.authority(), Credentials::basic("ada", "hunter2"));
    let error = registry.ping(&server.authority()).await.expect_err("tokens in the clear");
    assert_eq!(error.code(), "unknown_challenge");
    assert!(error.to_string().contains("without TLS"), "{error}");
    assert_eq!(plain.seen().len(), 0, "nobody was asked in the clear");
}

#[test]
fn a_file_without_certificates_stops_the_start() {
    let refusal = |path: &std::path::Path| {
        let options = RegistryOptions { extra_ca: vec![path.to_owned()], ..RegistryOptions::default() };
        let error = Registry::new(options).map(drop).expect_err("refused");
        assert_eq!(error.code(), "bad_certificates");
        error.to_string()
    };
    let file = tempfile::NamedTempFile::new().expect("a file");
    assert!(refusal(&file.path().join("nowhere")).contains("nowhere"));
    assert!(refusal(file.path()).contains("no certificate"));
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").expect("written");
    refusal(file.path());
    std::fs::write(file.path(), vec![b'\n'; (4 << 20) + 1]).expect("written");
    assert!(refusal(file.path()).contains("larger than"));
    let options = RegistryOptions { insecure: vec!["not a host".to_owned()], ..RegistryOptions::default() };
    assert_eq!(Registry::new(options).map(drop).map_err(|error| error.code()), Err("bad_registry"));
}
