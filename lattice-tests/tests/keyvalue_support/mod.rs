//! Actors that count, and the stores as signed archives.
#![allow(dead_code, reason = "each test uses a part")]

use std::{fs, net::SocketAddr};

use claims::{ActorId, ProviderId};
use lattice_tests::{Actor, HTTPSERVER, KEYVALUE, Signed, Signer, TestLattice, binary, free_address};

/// The counting actor in both of its kinds.
pub const COUNTERS: [Actor; 2] = [Actor::KvCounter, Actor::KvCounterComponent];

/// An actor that counts, behind an HTTP server of its host.
pub struct Counting {
    pub actor: ActorId,
    pub address: SocketAddr,
    _signer: Signer,
}

impl Counting {
    /// Starts it; the link to a store is up to the test.
    pub async fn start(lattice: &TestLattice, host: &str, actor: Actor) -> Self {
        let (operator, signer, address) = (lattice.operator().await, Signer::default(), free_address());
        let host = lattice.id(host);
        let server = ProviderId::well_known("httpserver");
        if !operator.inventory(&host).await.providers.iter().any(|provider| provider.id == server) {
            operator.start_provider(&host, "builtin://httpserver").await.expect("the server starts");
        }
        let signed = signer.actor_with(actor, |claims| {
            let caps = vec![HTTPSERVER.to_owned(), KEYVALUE.to_owned()];
            claims.metadata.get_or_insert_default().caps = Some(caps);
        });
        operator.start_actor(&host, &signed.reference()).await.expect("the actor starts");
        let values = [("address", &*address.to_string()), ("timeout_ms", "2000")];
        operator.link(&signed.id, &server, &values).await.expect("the link is taken");
        Self { actor: signed.id, address, _signer: signer }
    }

    pub async fn stop(&self, lattice: &TestLattice, host: &str) {
        lattice.operator().await.stop_actor(&lattice.id(host), &self.actor).await.expect("it stops");
    }
}

pub fn redb_archive(signer: &Signer) -> Signed<ProviderId> {
    archive(signer, "wash-keyvalue-redb")
}

pub fn redis_archive(signer: &Signer) -> Signed<ProviderId> {
    archive(signer, "wash-keyvalue-redis")
}

fn archive(signer: &Signer, program: &str) -> Signed<ProviderId> {
    signer.provider(&fs::read(binary(program)).expect("the program"), KEYVALUE)
}
