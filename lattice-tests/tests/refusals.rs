//! What must not run does not, and the operator is told why. Each refusal leaves the host as it was.

use claims::{KeyKind, KeyPair};
use lattice::event::EventData;
use lattice_tests::{Actor, Signer, SingleHost, now};

/// Starting what `reference` names must fail with every one of `words` in the reason.
async fn refused(host: &SingleHost, reference: &str, words: &[&str]) {
    let reason = host.operator.start_actor(&host.id, reference).await.expect_err("it must not start");
    for word in words {
        assert!(reason.contains(word), "`{reason}` should contain `{word}`");
    }
    assert!(host.operator.inventory(&host.id).await.actors.is_empty(), "nothing runs after a refusal");
}

fn file(signer: &Signer, name: &str, bytes: &[u8]) -> String {
    format!("file://{}", signer.write(name, bytes).display())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_actor_is_refused_with_the_command_that_signs_it() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    refused(&host, &file(&signer, "unsigned.wasm", &Actor::Echo.wasm()), &["not signed", "wash claims sign"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_changed_after_signing_is_refused() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let mut bytes = std::fs::read(signer.actor(Actor::Echo).path).expect("a signed file");
    let text = b"content-type"; // part of the guest's data, not of its structure: it stays valid WebAssembly
    let at = bytes.windows(text.len()).position(|window| window == text).expect("the guest holds this text");
    bytes[at] = b'X';
    refused(&host, &file(&signer, "changed.wasm", &bytes), &["changed after signing"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_signed_by_another_key_than_it_names_is_refused() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let mut bytes = std::fs::read(signer.actor(Actor::Echo).path).expect("a signed file");
    // The token is the end of the file, its signature the end of the token. The first of the signature's characters
    // holds no padding bits, so any other one is another signature.
    let at = bytes.len() - 86;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    refused(&host, &file(&signer, "forged.wasm", &bytes), &["signature"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_actor_and_one_of_tomorrow_are_refused() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let expired = signer.actor_with(Actor::Echo, |claims| claims.expires_at = Some(now() - 7200));
    refused(&host, &expired.reference(), &["expired"]).await;
    let tomorrow = signer.actor_with(Actor::Echo, |claims| claims.not_before = Some(now() + 86_400));
    refused(&host, &tomorrow.reference(), &["become valid"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_the_host_does_not_trust_is_refused_by_name() {
    let (trusted, stranger) = (Signer::default(), Signer::default());
    let host = SingleHost::start_with(|config| config.allowed_issuers = Some(vec![trusted.account()])).await;
    refused(&host, &stranger.actor(Actor::Echo).reference(), &[stranger.account().as_str()]).await;
    let welcome = trusted.actor(Actor::Echo);
    assert_eq!(host.operator.start_actor(&host.id, &welcome.reference()).await, Ok(welcome.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_webassembly_or_not_there_is_refused_by_name() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    refused(&host, &file(&signer, "text.wasm", b"I am a text file, whatever my name says"), &["WebAssembly"]).await;
    refused(&host, &file(&signer, "empty.wasm", b""), &["WebAssembly"]).await;
    refused(&host, "file:///nowhere/echo.wasm", &["/nowhere/echo.wasm"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_refused_where_loading_files_is_not_allowed() {
    let signer = Signer::default();
    let host = SingleHost::start_with(|config| config.allow_file_load = false).await;
    refused(&host, &signer.actor(Actor::Echo).reference(), &["file"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_a_contract_that_the_claims_do_not_name_is_refused() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let modest = signer.actor_with(Actor::Echo, |claims| {
        claims.metadata.as_mut().expect("metadata").caps = Some(Vec::new());
    });
    let provider = host.operator.start_provider(&host.id, "builtin://httpserver").await.expect("the provider starts");
    let actor = host.operator.start_actor(&host.id, &modest.reference()).await.expect("it may run");
    let address = lattice_tests::free_address();
    let mut events = host.operator.events().await;
    let link = lattice_tests::http_link(&actor, &provider, &[("address", &address.to_string())]);
    host.operator.control.put_link(&link).await.expect("it is kept");
    let failed = async {
        loop {
            if let EventData::LinkdefFailed(failed) = events.next().await.expect("events go on").data {
                break failed.error;
            }
        }
    };
    let reason = tokio::time::timeout(std::time::Duration::from_secs(10), failed).await.expect("it is told");
    for word in ["wasmcloud:httpserver", actor.as_str(), "--cap"] {
        assert!(reason.contains(word), "`{reason}` should contain `{word}`");
    }
    let links = host.operator.control.links().await.expect("links").links;
    assert_eq!(links.len(), 1, "it is kept for a version that may have it (protocol section 3.3)");
    lattice_tests::try_get(address, "/").await.expect_err("the provider was not given it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_nobody_has_seen_may_be_linked_and_is_checked_when_it_is_known() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let modest = signer.actor_with(Actor::Echo, |claims| {
        claims.metadata.as_mut().expect("metadata").caps = Some(vec!["acme:other".to_owned()]);
    });
    let welcome = signer.actor(Actor::Echo);
    let provider = host.operator.start_provider(&host.id, "builtin://httpserver").await.expect("the provider starts");
    let addresses = [lattice_tests::free_address(), lattice_tests::free_address()];
    for (actor, address) in [modest.id, welcome.id].iter().zip(&addresses) {
        let put = host.operator.link(actor, &provider, &[("address", &address.to_string())]).await;
        put.expect("who knows what its claims will say");
    }
    for actor in [&modest, &welcome] {
        host.operator.start_actor(&host.id, &actor.reference()).await.expect("it may run");
    }
    lattice_tests::get(addresses[1], "/").await;
    lattice_tests::try_get(addresses[0], "/").await.expect_err("no port is open for what is not granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_compiled_in_provider_is_refused_by_name() {
    let host = SingleHost::start().await;
    let reason = host.operator.start_provider(&host.id, "builtin://teleport").await.expect_err("there is none");
    assert!(reason.contains("teleport"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_archive_changed_after_signing_is_refused() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let program = b"#!/bin/sh\nexit 0\n";
    let honest = signer.provider(program, lattice_tests::HTTPSERVER);
    let archive = claims::archive::read(&std::fs::read(&honest.path).expect("an archive")).expect("it is whole");
    let mut bytes = claims::archive::write(&archive, false).expect("it can be packed");
    let at = bytes.windows(program.len()).position(|window| window == program).expect("it is not compressed");
    bytes[at + program.len() - 2] = b'1';
    let reason = host.operator.start_provider(&host.id, &file(&signer, "changed.par", &bytes)).await;
    let reason = reason.expect_err("a changed archive must not start");
    assert!(reason.contains("hash") || reason.contains("changed"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_wrong_kind_cannot_sign_an_actor() {
    let operator_key = KeyPair::generate(KeyKind::Operator);
    let subject = KeyPair::generate(KeyKind::Module).public().to_string();
    let claims = claims::Claims::new(operator_key.public(), subject, claims::ActorMetadata::default(), now());
    let error = claims::wasm::sign_actor(&Actor::Echo.wasm(), claims, &operator_key).expect_err("not an account");
    assert_eq!(error.code(), "wrong_issuer_kind");
}
