//! What this host is to run, kept on its own disk, so that a restarted host takes it up before any broker answers.
//!
//! An entry is the command that brought it: what could be started once can be started again the same way. A start that
//! fails after a restart stays wanted. Invariant: the disk has every change before its command is reported as done.

use lattice::{
    LinkName,
    control::{Annotations, Limits, ScaleActor, StartProvider},
};
use runtime::LimitSettings;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::state::replica::{Replica, ReplicaError};

const FACT: &str = "wanted";

/// The commands that lead to what this host runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Workload {
    /// One per provider reference and link name.
    pub providers: Vec<StartProvider>,
    /// One per actor reference and annotation set.
    pub actors: Vec<ScaleActor>,
}

impl Workload {
    /// An annotation set of an actor shall have this maximum; zero: it shall not run.
    pub fn scale(&mut self, actor_ref: &str, annotations: &Annotations, max_instances: u32, limits: &LimitSettings) {
        self.actors.retain(|actor| actor.actor_ref != actor_ref || actor.annotations != *annotations);
        if max_instances > 0 {
            let (actor_ref, annotations) = (actor_ref.to_owned(), annotations.clone());
            let limits = kept(limits);
            self.actors.push(ScaleActor { actor_ref, max_instances, annotations, limits, host_id: String::new() });
        }
    }

    /// Everything that runs from a reference shall have these limits.
    pub fn limit(&mut self, actor_ref: &str, limits: &LimitSettings) {
        for actor in self.actors.iter_mut().filter(|actor| actor.actor_ref == actor_ref) {
            actor.limits = kept(limits);
        }
    }

    /// Everything that ran from one reference shall run from another.
    pub fn update(&mut self, from: &str, to: &str) {
        for actor in self.actors.iter_mut().filter(|actor| actor.actor_ref == from) {
            to.clone_into(&mut actor.actor_ref);
        }
    }

    /// Nothing shall run from this reference any more.
    pub fn forget_actor(&mut self, actor_ref: &str) {
        self.actors.retain(|actor| actor.actor_ref.trim() != actor_ref);
    }

    /// Whether an actor is to run as this command says.
    #[must_use]
    pub fn wants_actor(&self, command: &ScaleActor) -> bool {
        self.actors.contains(command)
    }

    /// Whether a provider is to run as this command says.
    #[must_use]
    pub fn wants_provider(&self, command: &StartProvider) -> bool {
        self.providers.contains(command)
    }

    /// A provider shall run.
    pub fn start(&mut self, provider: StartProvider) {
        self.stop(&provider.provider_ref, &provider.link_name);
        self.providers.push(provider);
    }

    /// A provider shall not run.
    pub fn stop(&mut self, provider_ref: &str, link_name: &LinkName) {
        self.providers
            .retain(|provider| provider.provider_ref.trim() != provider_ref.trim() || provider.link_name != *link_name);
    }
}

/// None says the same as none set, and is what older records say.
fn kept(limits: &LimitSettings) -> Option<Limits> {
    (!limits.is_empty()).then(|| limits.to_texts())
}

/// The workload with its place on disk.
pub struct Wanted {
    workload: Mutex<Workload>,
    replica: Replica,
}

impl Wanted {
    /// Reads what was wanted when this host last ran. An unreadable record is reported and starts empty: a host that
    /// serves nothing is better than one that does not start.
    ///
    /// # Errors
    /// [`ReplicaError`] when the disk cannot be read.
    pub fn load(replica: Replica) -> Result<Self, ReplicaError> {
        let workload = match replica.fact(FACT)?.map(|text| serde_json::from_str(&text)) {
            None => Workload::default(),
            Some(Ok(workload)) => workload,
            Some(Err(error)) => {
                tracing::error!(%error, "cannot read what this host ran before; it starts with nothing");
                Workload::default()
            }
        };
        Ok(Self { workload: Mutex::new(workload), replica })
    }

    /// What is wanted now.
    pub async fn workload(&self) -> Workload {
        self.workload.lock().await.clone()
    }

    /// Changes what is wanted. A disk that fails is reported; the change holds until the next restart all the same.
    pub async fn change(&self, change: impl FnOnce(&mut Workload)) {
        let mut workload = self.workload.lock().await;
        let before = workload.clone();
        change(&mut workload);
        if *workload == before {
            return;
        }
        let text = serde_json::to_string(&*workload).expect("commands are plain JSON data");
        let replica = self.replica.clone();
        let written = tokio::task::spawn_blocking(move || replica.set_fact(FACT, &text)).await;
        if let Ok(Err(error)) = written {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot keep what this host runs; a restart will not take it up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wanted_survives_a_restart_and_what_was_stopped_does_not() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let replica = Replica::open(&directory.path().join("state.redb")).expect("opens");
        let wanted = Wanted::load(replica.clone()).expect("loads");
        let provider = StartProvider { provider_ref: "builtin://x".to_owned(), ..StartProvider::default() };
        let tag = Annotations::from([("a".to_owned(), "b".to_owned())]);
        wanted.change(|workload| workload.start(provider.clone())).await;
        wanted.change(|workload| workload.start(provider.clone())).await;
        let mut limits = LimitSettings::default();
        wanted.change(|workload| workload.scale("one", &Annotations::new(), 3, &limits)).await;
        wanted.change(|workload| workload.scale("one", &tag, 2, &limits)).await;
        wanted.change(|workload| workload.scale("one", &Annotations::new(), 0, &limits)).await;
        limits.set("memory=8MiB").expect("a limit");
        wanted.change(|workload| workload.limit("one", &limits)).await;
        wanted.change(|workload| workload.update("one", "two")).await;

        let again = Wanted::load(replica.clone()).expect("loads").workload().await;
        assert_eq!(again.providers, [provider]);
        let [actor] = again.actors.as_slice() else { panic!("one set is left: {:?}", again.actors) };
        assert_eq!((actor.actor_ref.as_str(), actor.max_instances, &actor.annotations), ("two", 2, &tag));
        assert_eq!(actor.limits, Some(limits.to_texts()));

        wanted.change(|workload| workload.stop("builtin://x", &LinkName::default())).await;
        assert!(Wanted::load(replica).expect("loads").workload().await.providers.is_empty());
    }

    #[tokio::test]
    async fn a_damaged_record_does_not_keep_the_host_from_starting() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let replica = Replica::open(&directory.path().join("state.redb")).expect("opens");
        replica.set_fact(FACT, "junk").expect("writes");
        assert_eq!(Wanted::load(replica).expect("loads").workload().await, Workload::default());
    }
}
