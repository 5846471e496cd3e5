//! A provider in every host that notes which links it is given: so it is known, without asking a hundred hosts, when a
//! change has its effect on all of them.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use claims::ActorId;
use contracts::CallError;
use lattice::{Link, LinkName};
use provider_sdk::{Builtin, Descriptor, LinkRefused, Provider, ProviderCall, Start, StartError};
use tokio::sync::watch;

use super::crowd::Crowd;

/// Its name.
pub const PROVIDER: &str = "bench-noting";
/// What the actors of the crowd may use.
pub const CONTRACT: &str = "bench:noting";
/// The value by which a change of the link is known.
const ROUND: &str = "round";
/// Until what others are told of a change has been said.
const SETTLE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);

/// What all providers of this process have been given; a `fn` pointer has no other way to hand it on.
static NOTED: LazyLock<watch::Sender<Noted>> = LazyLock::new(watch::Sender::default);

#[derive(Default)]
struct Noted {
    /// Links under a name of one host.
    own: usize,
    /// The change of the link of all hosts that is waited for, and how many have it.
    round: String,
    everywhere: usize,
}

/// The provider.
pub const NOTING: Builtin = Builtin {
    descriptor: Descriptor {
        name: PROVIDER,
        contract: CONTRACT,
        display_name: "bench noting",
        vendor: "bench",
        version: "0",
        revision: 0,
    },
    start: |Start { link_name, .. }| -> Result<Arc<dyn Provider>, StartError> {
        Ok(Arc::new(Noting { everywhere: link_name == LinkName::default() }))
    },
};

struct Noting {
    /// Whether it runs under the link name that all hosts have.
    everywhere: bool,
}

/// Returns when so many more links under a name of one host are served. Counts from now on.
pub fn served(links: usize) -> impl Future<Output = Result<()>> {
    NOTED.send_modify(|noted| noted.own = 0);
    let mut noted = NOTED.subscribe();
    async move {
        noted.wait_for(|noted| noted.own >= links).await.context("the providers are there")?;
        Ok(())
    }
}

/// Puts the link of all hosts with another value at the first host: seconds until every host's provider has it.
pub async fn change(crowd: &Crowd, link: &Link, round: u32) -> Result<f64> {
    let operator = &crowd.first()?.operator;
    let (round, mut link) = (round.to_string(), link.clone());
    link.values.insert(ROUND.to_owned(), round.clone());
    NOTED.send_modify(|noted| (noted.round, noted.everywhere) = (round, 0));
    let mut noted = NOTED.subscribe();
    let began = Instant::now();
    operator.control.put_link(&link).await?;
    let everywhere = noted.wait_for(|noted| noted.everywhere >= crowd.size);
    tokio::time::timeout(PATIENCE, everywhere).await.context("a link is not served everywhere")??;
    let took = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    Ok(took)
}

#[async_trait]
impl Provider for Noting {
    async fn put_link(&self, link: &Link) -> Result<(), LinkRefused> {
        NOTED.send_modify(|noted| match link.values.get(ROUND) {
            Some(round) if self.everywhere && *round == noted.round => noted.everywhere += 1,
            None if !self.everywhere => noted.own += 1,
            _ => {}
        });
        Ok(())
    }

    async fn delete_link(&self, _actor: &ActorId) {}

    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError> {
        Err(CallError::Unsupported { target: CONTRACT.to_owned(), operation: call.operation })
    }

    async fn shutdown(&self) {}
}
