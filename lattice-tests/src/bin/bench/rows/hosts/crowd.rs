//! Many hosts in this process, over one nats-server: their start, what they are loaded with, their end.
//!
//! Each has a state directory of its own, and shares code that was compiled with the others, as hosts of one user may.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use claims::{ActorId, HostId, ProviderId};
use futures_util::{
    StreamExt, TryStreamExt,
    future::{join_all, try_join_all},
    stream,
};
use host::HostConfig;
use lattice::{Link, LinkName, control::StartProvider};
use lattice_tests::{NatsServer, Signed, free_address, link};
use runtime::{CodeCacheConfig, RuntimeConfig};
use tempfile::TempDir;

use super::links::{self, CONTRACT, NOTING, PROVIDER};
use crate::{
    rows::local_call::start,
    world::{HostHere, World},
};

/// Actors of each host.
pub const ACTORS_EACH: usize = 10;
/// Links of each host's actors: one to a provider on their host, one to the same on the next host.
pub const LINKS_EACH: usize = 2 * ACTORS_EACH;
/// Room in the pool of each host. The usual thousand, a hundred times, is more address space than a process has.
pub const INSTANCES: u32 = 16;
/// Hosts that are loaded at once.
const AT_ONCE: usize = 4;
/// Between two questions whether all hosts are there; what a figure may be too high by.
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(120);

/// A module that answers every call with nothing: it is signed a thousand times, so that every host has actors that no
/// other has, and compiling it takes no time.
const ACTOR: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "__guest_call") (param i32 i32) (result i32)
        (i32.const 1)))"#;

/// The hosts; everything ends with the value.
pub struct Crowd {
    /// Where they are.
    pub world: World,
    /// How many there are.
    pub size: usize,
    /// Where the nats-server tells what it does.
    pub monitor: SocketAddr,
    hosts: Vec<HostHere>,
    actors: Vec<Vec<Signed<ActorId>>>,
}

impl Crowd {
    /// A nats-server and signed actors, and no host yet.
    pub async fn prepare(size: usize) -> Result<Self> {
        let mut nats = NatsServer::prepare().context("there is no nats-server; `cargo xtask bench` provides one")?;
        let monitor = free_address();
        nats.configure(&format!("http: \"{monitor}\"\n"));
        nats.start_again().await;
        let world = World::over(nats, directory()?);
        let wasm = wat::parse_str(ACTOR).context("the actor of the crowd")?;
        let actor = || {
            world.signer.wasm_with("one of many", &wasm, |claims| {
                claims.metadata.get_or_insert_default().caps = Some(vec![CONTRACT.to_owned()]);
            })
        };
        let actors = (0..size).map(|_| (0..ACTORS_EACH).map(|_| actor()).collect()).collect();
        Ok(Self { world, size, monitor, hosts: Vec::new(), actors })
    }

    /// Starts all hosts at once: seconds until every one of them answers when all are asked.
    pub async fn start(&mut self) -> Result<f64> {
        let began = Instant::now();
        let starting = (0..self.size).map(|number| {
            let config = self.config(number);
            let operator = self.world.operator_at(&config.state_dir);
            tokio::spawn(HostHere::start(operator, config, &[NOTING]))
        });
        let started = join_all(starting).await.into_iter();
        self.hosts = started.map(|host| host.context("a host panicked")?).collect::<Result<_>>()?;
        tokio::time::timeout(PATIENCE, self.all_answer()).await.context("not every host answers")??;
        Ok(began.elapsed().as_secs_f64())
    }

    /// The same for hosts that were loaded before: until their actors run again, too.
    pub async fn start_again(&mut self) -> Result<f64> {
        let began = Instant::now();
        self.start().await?;
        let running = try_join_all(self.hosts.iter().map(HostHere::actors_run));
        tokio::time::timeout(PATIENCE, running).await.context("not every actor runs again")??;
        Ok(began.elapsed().as_secs_f64())
    }

    fn config(&self, number: usize) -> HostConfig {
        let mut config = self.world.config(&format!("host-{number}"));
        let code_cache = CodeCacheConfig { dir: self.world.dir.path().join("compiled"), max_bytes: 1 << 30 };
        config.runtime = RuntimeConfig {
            max_instances: INSTANCES,
            compile_threads: 1,
            background_threads: 1,
            code_cache: Some(code_cache),
            ..RuntimeConfig::default()
        };
        config
    }

    async fn all_answer(&self) -> Result<()> {
        let operator = self.world.operator().await?;
        while operator.hosts().await.map_or(0, |hosts| hosts.len()) < self.size {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Starts actors and providers and puts the links: seconds for the actors, and for the links until all are served.
    pub async fn load(&self) -> Result<(f64, f64)> {
        let began = Instant::now();
        self.on_each(|number| self.start_actors(number)).await.context("starting actors")?;
        let actors = began.elapsed().as_secs_f64();
        self.on_each(|number| self.start_providers(number)).await.context("starting providers")?;
        let began = Instant::now();
        let served = links::served(LINKS_EACH * self.size);
        self.on_each(|number| self.put_links(number)).await.context("putting links")?;
        tokio::time::timeout(PATIENCE, served).await.context("not every link is served")??;
        Ok((actors, began.elapsed().as_secs_f64()))
    }

    async fn on_each<F: Future<Output = Result<()>>>(&self, act: impl Fn(usize) -> F) -> Result<()> {
        stream::iter((0..self.size).map(act)).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn start_actors(&self, number: usize) -> Result<()> {
        let HostHere { operator, id, .. } = &self.hosts[number];
        for actor in &self.actors[number] {
            start(operator, id, &actor.reference()).await?;
        }
        Ok(())
    }

    /// One for the links of the load, and one for the link that all hosts have.
    async fn start_providers(&self, number: usize) -> Result<()> {
        let HostHere { operator, id, .. } = &self.hosts[number];
        let reference = format!("builtin://{PROVIDER}");
        operator.start_provider(id, &reference).await.map_err(anyhow::Error::msg)?;
        let command = StartProvider {
            provider_ref: reference,
            link_name: link_name(number)?,
            annotations: Default::default(),
            configuration: None,
            host_id: String::new(),
        };
        Ok(operator.control.start_provider(id, &command).await?)
    }

    async fn put_links(&self, number: usize) -> Result<()> {
        let operator = &self.hosts[number].operator;
        for actor in &self.actors[number] {
            for provider in [number, (number + 1) % self.size] {
                let link = Link { link_name: link_name(provider)?, ..noted(&actor.id) };
                operator.control.put_link(&link).await?;
            }
        }
        Ok(())
    }

    /// The link that a provider on every host serves.
    pub fn watched_link(&self) -> Result<Link> {
        let actor = self.actors.first().and_then(|actors| actors.first()).context("an actor")?;
        Ok(noted(&actor.id))
    }

    /// The first host.
    pub fn first(&self) -> Result<&HostHere> {
        self.hosts.first().context("a host")
    }

    /// Ends all hosts in order.
    pub async fn stop(&mut self) -> Result<()> {
        try_join_all(self.hosts.drain(..).map(HostHere::stop)).await?;
        Ok(())
    }
}

impl HostHere {
    /// Returns when it runs its share of the actors.
    async fn actors_run(&self) -> Result<()> {
        while running(self, &self.id).await? < ACTORS_EACH {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

async fn running(host: &HostHere, id: &HostId) -> Result<usize> {
    let actors = host.operator.control.inventory(id).await?.actors;
    ensure!(actors.len() <= ACTORS_EACH, "a host runs {} actors", actors.len());
    Ok(actors.len())
}

fn noted(actor: &ActorId) -> Link {
    link(actor, &ProviderId::well_known(PROVIDER), CONTRACT, &[])
}

fn link_name(number: usize) -> Result<LinkName> {
    format!("of-{number}").parse().context("a link name")
}

/// In memory, where that is possible.
fn directory() -> Result<TempDir> {
    let in_memory = Path::new("/dev/shm");
    let directory = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    directory.context("cannot make a directory")
}
