//! A lattice that has been reached, as commands see it: hosts, inventories, and ids by name.
//!
//! Asks; never changes anything. Invariant: a complete id is never looked up, so commands that are given ids work also
//! when nobody knows their names.

use std::str::FromStr;

use claims::{ActorId, HostId, ProviderId};
use futures_util::future::join_all;
use lattice::{
    client::{ControlClient, ControlError},
    control::{AskWhy, HostInventory, HostSummary},
};

use crate::{
    context::Context,
    lattice::{
        connection::Connection,
        reach::{Reached, Way, control_root, reach},
        resolve,
    },
    machine::{builtins, hosts_here},
    terminal::failure::{Failure, Result},
};

/// A lattice that has been reached.
#[derive(Debug)]
pub struct Lattice<'a> {
    /// How it was reached.
    pub reached: Reached,
    /// The settings it was reached with.
    pub connection: Connection,
    context: &'a Context,
}

impl<'a> Lattice<'a> {
    /// Reaches the lattice of these settings.
    ///
    /// # Errors
    /// As [`reach`].
    pub async fn reach(connection: Connection, context: &'a Context) -> Result<Self> {
        let reached = reach(&connection, context).await?;
        Ok(Self { reached, connection, context })
    }

    /// The way to one host: over its own socket when nothing connects the hosts of this machine.
    pub fn control(&self, host: &HostId) -> ControlClient {
        let control = &self.reached.control;
        match self.reached.alone.iter().find(|alone| alone.summary.id == *host) {
            Some(alone) => ControlClient::socket(alone.socket(), control.root().clone(), self.connection.timeout),
            None => control.clone(),
        }
    }

    /// All hosts that answer.
    ///
    /// # Errors
    /// None answers.
    pub async fn hosts(&self) -> Result<Vec<HostSummary>> {
        match self.reached.control.hosts().await {
            Ok(gathered) => {
                for problem in gathered.problems {
                    self.context.printer.note(format!("a host answered something unreadable: {problem}"));
                }
                Ok(self.with_alone(gathered.replies))
            }
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// All hosts that answer; none is an answer too.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn hosts_or_none(&self) -> Result<Vec<HostSummary>> {
        match self.reached.control.hosts().await {
            Ok(gathered) => Ok(self.with_alone(gathered.replies)),
            Err(error @ ControlError::NoHost { .. }) => {
                let failure = self.explain(error).await;
                if let Some(hint) = failure.next_step() {
                    self.context.printer.note(format!("hint: {hint}"));
                }
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn with_alone(&self, mut hosts: Vec<HostSummary>) -> Vec<HostSummary> {
        for alone in &self.reached.alone {
            if !hosts.iter().any(|host| host.id == alone.summary.id) {
                hosts.push(alone.summary.clone());
            }
        }
        hosts
    }

    /// Nobody in the lattice on this NATS server, but a host of this machine without NATS, is worth saying.
    async fn explain(&self, error: ControlError) -> Failure {
        let nobody = matches!(error, ControlError::NoHost { .. });
        let failure = Failure::from(error);
        if !nobody || !matches!(self.reached.way, Way::Nats(..)) {
            return failure;
        }
        let Ok(root) = control_root(&self.connection) else { return failure };
        match hosts_here::answering(&self.context.home, &root).await.first() {
            Some(host) => failure.hint(format!(
                "host `{}` of this machine is not connected to NATS at {}; reach it with `--socket {}`",
                host.name(),
                self.connection.server(),
                host.socket().display()
            )),
            None => failure,
        }
    }

    /// Whether a host is one of another maker, which does not report every outcome. Known without waiting: nobody listens
    /// where only hosts of ours are asked, and the server says so at once.
    pub async fn is_of_others(&self, host: &HostId) -> bool {
        let answer = self.control(host).why(host, &AskWhy::default()).await;
        matches!(answer, Err(ControlError::HostAbsent { .. }))
    }

    /// Whether all hosts are of other makers. Known without waiting, as with one of them.
    pub async fn has_only_others(&self) -> bool {
        matches!(self.reached.control.revocations().await, Err(ControlError::NoHost { .. }))
    }

    /// What these hosts run. A host that does not answer is left out, and said.
    pub async fn inventories(&self, hosts: impl IntoIterator<Item = HostId>) -> Vec<HostInventory> {
        let asked = hosts.into_iter().map(|host| async move { (host, self.control(&host).inventory(&host).await) });
        let mut inventories = Vec::new();
        for (host, answer) in join_all(asked).await {
            match answer {
                Ok(inventory) => inventories.push(inventory),
                Err(error) => self.context.printer.note(format!("host `{host}` does not tell what it runs: {error}")),
            }
        }
        inventories
    }

    /// The host that was meant by an id, the beginning of one, or part of a friendly name.
    ///
    /// # Errors
    /// No host or several match.
    pub async fn host(&self, term: &str) -> Result<HostId> {
        match HostId::from_str(term.trim()) {
            Ok(id) => Ok(id),
            Err(_) => resolve::resolve("host", term, &resolve::host_candidates(&self.hosts().await?)),
        }
    }

    /// The actor that was meant by an id, the beginning of one, or part of a name or call alias.
    ///
    /// # Errors
    /// No actor or several match.
    pub async fn actor(&self, term: &str) -> Result<ActorId> {
        match ActorId::from_str(term.trim()) {
            Ok(id) => Ok(id),
            Err(error) => {
                wrong_id(term, 'M', &error)?;
                let claims = self.reached.control.claims().await?;
                let mut candidates = resolve::actor_candidates(&claims);
                match resolve::resolve("actor", term, &candidates) {
                    Ok(id) => Ok(id),
                    Err(_) => {
                        // Where hosts cannot share what they know, the one that answered may not have heard of it.
                        self.add_running_actors(&mut candidates).await;
                        match resolve::resolve("actor", term, &candidates) {
                            Ok(id) => Ok(id),
                            Err(failure) => Err(self.explain_unknown(failure).await),
                        }
                    }
                }
            }
        }
    }

    /// Who is not known may be known to a host that cannot tell the others.
    async fn explain_unknown(&self, failure: Failure) -> Failure {
        let Ok(gathered) = self.reached.control.hosts().await else { return failure };
        let question = AskWhy::default();
        let asked = gathered.replies.iter().map(|host| self.reached.control.why(&host.id, &question));
        let replies = join_all(asked).await;
        match replies.into_iter().flatten().find_map(|reply| reply.nats.store_refused) {
            Some(reason) => failure
                .cause(format!("hosts cannot tell each other what they know: the NATS server refuses the buckets of the lattice: {reason}"))
                .hint("give the complete id, or let the lattice have its buckets (`docs/nats.md`)"),
            None => failure,
        }
    }

    async fn add_running_actors(&self, candidates: &mut Vec<resolve::Candidate<ActorId>>) {
        let Ok(gathered) = self.reached.control.hosts().await else { return };
        for inventory in self.inventories(gathered.replies.iter().map(|host| host.id)).await {
            for actor in inventory.actors {
                if !candidates.iter().any(|known| known.id == actor.id) {
                    candidates.push(resolve::Candidate { id: actor.id, names: actor.name.into_iter().collect() });
                }
            }
        }
    }

    /// The provider that was meant by an id, the beginning of one, or part of a name.
    ///
    /// # Errors
    /// No provider or several match.
    pub async fn provider(&self, term: &str) -> Result<ProviderId> {
        match ProviderId::from_str(term.trim()) {
            Ok(id) => Ok(id),
            Err(error) => {
                wrong_id(term, 'V', &error)?;
                let claims = self.reached.control.claims().await?;
                let mut candidates = resolve::provider_candidates(&claims);
                // Embedded providers have well-known ids, and names without any claims in the lattice.
                for name in builtins::NAMES {
                    let (id, name) = (ProviderId::well_known(name), (*name).to_owned());
                    match candidates.iter_mut().find(|candidate| candidate.id == id) {
                        Some(candidate) => candidate.names.push(name),
                        None => candidates.push(resolve::Candidate { id, names: vec![name] }),
                    }
                }
                resolve::resolve("provider", term.strip_prefix("builtin://").unwrap_or(term), &candidates)
            }
        }
    }
}

/// A text of the length of an id, beginning like one, is a mistyped id: its error says more than a search.
fn wrong_id(term: &str, letter: char, error: &claims::KeyError) -> Result<()> {
    let term = term.trim();
    let looks_complete = term.len() == 56 && term.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if looks_complete {
        return Err(
            Failure::usage(format!("`{term}` is not the id it should be (`{letter}…`)")).cause(error.to_string())
        );
    }
    Ok(())
}
