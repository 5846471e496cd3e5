//! Artifacts that carry their compiled code: hosts run the code they made, and compile the wasm of all others.

use claims::{
    KeyKind, KeyPair,
    revocation::{Entry, RevocationList, Revoked, Sha256},
};
use lattice::LatticeId;
use lattice_tests::{Actor, Signer, SingleHost, free_address, get, now};
use runtime::{CodeCacheConfig, Runtime, RuntimeConfig, precompiled};

/// What `wash compile` makes on the machine whose code cache this is.
async fn precompile(cache: CodeCacheConfig, wasm: Vec<u8>) -> Vec<u8> {
    let config = RuntimeConfig { code_cache: Some(cache), ..RuntimeConfig::default() };
    Runtime::new(&config).expect("an engine").precompile(wasm.into()).await.expect("compiles").to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_precompiled_actor_serves_on_the_machine_that_made_it_and_on_any_other() {
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let cache = |dir: &tempfile::TempDir| CodeCacheConfig { dir: dir.path().to_owned(), max_bytes: 64 << 20 };
    for made_in in [&here, &there] {
        let host = SingleHost::start_with(|config| config.runtime.code_cache = Some(cache(&here))).await;
        let (operator, signer, address) = (&host.operator, Signer::default(), free_address());
        let hello = signer.actor(Actor::Hello);
        let wasm = std::fs::read(&hello.path).expect("readable");
        let file = signer.write("hello.cwasm", &precompile(cache(made_in), wasm).await);
        let provider = operator.start_provider(&host.id, "builtin://httpserver").await.expect("the provider starts");
        let reference = format!("file://{}", file.display());
        let actor = operator.start_actor(&host.id, &reference).await.expect("the actor starts");
        assert_eq!(actor, hello.id, "claims are those of the wasm");
        operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
        assert!(!get(address, "/").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_precompiled_file_is_revoked_with_its_wasm_and_refused_when_it_is_cut() {
    let key = || KeyPair::from_raw_seed(KeyKind::Cluster, &[7; 32]);
    let (cluster, host) = (key(), SingleHost::start_with(|config| config.cluster_key = Some(key())).await);
    let (operator, signer) = (&host.operator, Signer::default());
    let wasm = std::fs::read(signer.actor(Actor::Echo).path).expect("readable");
    let revoked = Sha256::of(&wasm);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let cache = CodeCacheConfig { dir: elsewhere.path().to_owned(), max_bytes: 64 << 20 };
    let file = precompile(cache, wasm).await;
    assert!(precompiled::is_precompiled(&file));

    let cut = signer.write("cut.cwasm", &file[..100]);
    let error = operator.start_actor(&host.id, &format!("file://{}", cut.display())).await.expect_err("it is cut");
    assert!(error.contains("cut short"), "{error}");

    let entry = Entry { revoked: Revoked::Digest(revoked), reason: Some("a bug".to_owned()), since: now() };
    let list = RevocationList { lattice: LatticeId::default().to_string(), number: 1, entries: vec![entry] };
    let list = list.sign(&cluster, now()).expect("it can be signed");
    operator.control.put_revocations(&list).await.expect("the list is accepted");
    let whole = signer.write("whole.cwasm", &file);
    let error = operator.start_actor(&host.id, &format!("file://{}", whole.display())).await.expect_err("revoked");
    assert!(error.contains("revoked"), "{error}");
}
