//! What this host is to run, kept on its own disk, so that a restarted host takes it up before any broker answers.
//!
//! An entry is the command that brought it, with the id it turned out to be about: what could be started once can be
//! started again the same way, and what does not run yet can be given up by its id. A start that fails after a restart
//! stays wanted. Invariant: the disk has every change before its command is reported as done.

use claims::{ActorId, ProviderId};
use lattice::{
    LinkName,
    control::{Annotations, Limits, ScaleActor, StartProvider},
};
use runtime::LimitSettings;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use lattice_state::replica::{Replica, ReplicaError};

const FACT: &str = "wanted";

/// A command, and whom it is about; records of older hosts do not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<I, C> {
    /// Whom it is about.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub id: Option<I>,
    /// What is to be done again.
    #[serde(flatten)]
    pub command: C,
}

fn none<I>() -> Option<I> {
    None
}

/// The commands that lead to what this host runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Workload {
    /// One per provider and link name.
    pub providers: Vec<Entry<ProviderId, StartProvider>>,
    /// One per actor and annotation set.
    pub actors: Vec<Entry<ActorId, ScaleActor>>,
}

impl Workload {
    /// An annotation set of an actor shall run from this reference, with this maximum; zero: it shall not run.
    pub fn scale(
        &mut self,
        id: ActorId,
        actor_ref: &str,
        annotations: &Annotations,
        max_instances: u32,
        limits: &LimitSettings,
    ) {
        // A reference means one actor at a time, so this one takes the place of another that it meant before.
        self.actors.retain(|entry| {
            let same = entry.id == Some(id) || entry.command.actor_ref.trim() == actor_ref;
            let stays = max_instances == 0 && entry.id.is_some_and(|other| other != id);
            !same || stays || entry.command.annotations != *annotations
        });
        if max_instances > 0 {
            let (actor_ref, annotations) = (actor_ref.to_owned(), annotations.clone());
            let limits = kept(limits);
            let command = ScaleActor { actor_ref, max_instances, annotations, limits, host_id: String::new() };
            self.actors.push(Entry { id: Some(id), command });
        }
    }

    /// Takes out what matches; what it was.
    pub fn give_up_actors(
        &mut self,
        matches: impl Fn(&Entry<ActorId, ScaleActor>) -> bool,
    ) -> Vec<Entry<ActorId, ScaleActor>> {
        self.actors.extract_if(.., |entry| matches(entry)).collect()
    }

    /// Nothing of this actor shall run from this reference any more.
    pub fn forget_actor(&mut self, actor_ref: &str, id: Option<ActorId>) {
        self.actors.retain(|entry| {
            let other = entry.id.is_some() && id.is_some() && entry.id != id;
            other || entry.command.actor_ref.trim() != actor_ref
        });
    }

    /// Whether an actor is to run as this command says.
    #[must_use]
    pub fn wants_actor(&self, command: &ScaleActor) -> bool {
        self.actors.iter().any(|entry| entry.command == *command)
    }

    /// Whether a provider is to run as this command says.
    #[must_use]
    pub fn wants_provider(&self, command: &StartProvider) -> bool {
        self.providers.iter().any(|entry| entry.command == *command)
    }

    /// A provider shall run.
    pub fn start(&mut self, id: ProviderId, command: StartProvider) {
        self.stop(Some(&id), Some(&command.provider_ref), &command.link_name);
        self.providers.push(Entry { id: Some(id), command });
    }

    /// What has this id, or this reference, shall not run under this link name. Whether it was to.
    pub fn stop(&mut self, id: Option<&ProviderId>, provider_ref: Option<&str>, link_name: &LinkName) -> bool {
        let before = self.providers.len();
        self.providers.retain(|Entry { id: known, command }| {
            let by_id = id.is_some() && known.as_ref() == id;
            let by_reference = provider_ref.is_some_and(|other| command.provider_ref.trim() == other.trim());
            !(by_id || by_reference) || command.link_name != *link_name
        });
        self.providers.len() < before
    }
}

/// None says the same as none set, and is what older records say.
fn kept(limits: &LimitSettings) -> Option<Limits> {
    (!limits.is_empty()).then(|| limits.to_texts())
}

/// What is desired, with its place on disk.
pub struct Desired {
    workload: Mutex<Workload>,
    replica: Replica,
}

impl Desired {
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
    pub async fn change<T>(&self, change: impl FnOnce(&mut Workload) -> T) -> T {
        let mut workload = self.workload.lock().await;
        let before = workload.clone();
        let outcome = change(&mut workload);
        if *workload == before {
            return outcome;
        }
        let text = serde_json::to_string(&*workload).expect("commands are plain JSON data");
        let replica = self.replica.clone();
        let written = tokio::task::spawn_blocking(move || replica.set_fact(FACT, &text)).await;
        if let Ok(Err(error)) = written {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot keep what this host runs; a restart will not take it up");
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use ::claims::{KeyKind, PublicKey};

    use super::*;

    fn actor(byte: u8) -> ActorId {
        PublicKey::from_raw(KeyKind::Module, [byte; 32]).try_into().expect("an actor")
    }

    fn provider(byte: u8) -> ProviderId {
        PublicKey::from_raw(KeyKind::Service, [byte; 32]).try_into().expect("a provider")
    }

    fn tagged(value: &str) -> Annotations {
        Annotations::from([("a".to_owned(), value.to_owned())])
    }

    #[tokio::test]
    async fn what_is_wanted_survives_a_restart_and_what_was_stopped_does_not() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let replica = Replica::open(&directory.path().join("state.redb")).expect("opens");
        let wanted = Desired::load(replica.clone()).expect("loads");
        let command = StartProvider { provider_ref: "builtin://x".to_owned(), ..StartProvider::default() };
        wanted.change(|workload| workload.start(provider(1), command.clone())).await;
        wanted.change(|workload| workload.start(provider(1), command.clone())).await;
        let (one, plain, tag) = (actor(1), Annotations::new(), tagged("b"));
        let mut limits = LimitSettings::default();
        wanted.change(|workload| workload.scale(one, "one", &plain, 3, &limits)).await;
        wanted.change(|workload| workload.scale(one, "one", &tag, 2, &limits)).await;
        wanted.change(|workload| workload.scale(one, "one", &plain, 0, &limits)).await;
        limits.set("memory=8MiB").expect("a limit");
        wanted.change(|workload| workload.scale(one, "two", &tag, 2, &limits)).await;

        let again = Desired::load(replica.clone()).expect("loads").workload().await;
        assert!(again.wants_provider(&command) && again.providers.len() == 1);
        let [Entry { id, command: left }] = again.actors.as_slice() else { panic!("one set is left: {again:?}") };
        assert_eq!((left.actor_ref.as_str(), left.max_instances, &left.annotations, *id), ("two", 2, &tag, Some(one)));
        assert_eq!(left.limits, Some(limits.to_texts()));

        assert!(wanted.change(|workload| workload.stop(Some(&provider(1)), None, &LinkName::default())).await);
        assert!(Desired::load(replica).expect("loads").workload().await.providers.is_empty());
    }

    #[test]
    fn each_annotation_set_is_wanted_by_itself() {
        let (mut workload, limits) = (Workload::default(), LimitSettings::default());
        let (one, two) = (tagged("one"), tagged("two"));
        workload.scale(actor(1), "v1", &one, 1, &limits);
        workload.scale(actor(1), "v2", &two, 1, &limits);
        let of = |workload: &Workload, set: &Annotations| {
            let entry = workload.actors.iter().find(|entry| entry.command.annotations == *set)?;
            Some(entry.command.actor_ref.clone())
        };
        assert_eq!((of(&workload, &one).as_deref(), of(&workload, &two).as_deref()), (Some("v1"), Some("v2")));
        workload.scale(actor(1), "v3", &one, 1, &limits); // updated
        assert_eq!((of(&workload, &one).as_deref(), of(&workload, &two).as_deref()), (Some("v3"), Some("v2")));
        // A file that held one actor holds another now: stopping what it held before does not give that up.
        workload.scale(actor(2), "v3", &one, 1, &limits);
        workload.scale(actor(1), "v3", &one, 0, &limits);
        assert_eq!(of(&workload, &one).as_deref(), Some("v3"));
        assert_eq!(workload.give_up_actors(|entry| entry.id == Some(actor(2))).len(), 1);
        assert_eq!(of(&workload, &one), None);
    }

    #[test]
    fn records_of_older_hosts_say_no_id() {
        let old = r#"{"providers":[{"provider_ref":"p","link_name":"default","host_id":""}],
                      "actors":[{"actor_ref":"a","count":3,"annotations":{"x":"y"},"host_id":""}]}"#;
        let workload: Workload = serde_json::from_str(old).expect("it is read");
        assert_eq!(workload.actors[0].command.max_instances, 3);
        assert_eq!((workload.actors[0].id, workload.providers[0].id), (None, None));
        let text = serde_json::to_string(&workload).expect("it is written");
        assert_eq!(serde_json::from_str::<Workload>(&text).expect("it is read"), workload);
    }

    #[tokio::test]
    async fn a_damaged_record_does_not_keep_the_host_from_starting() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let replica = Replica::open(&directory.path().join("state.redb")).expect("opens");
        replica.set_fact(FACT, "junk").expect("writes");
        assert_eq!(Desired::load(replica).expect("loads").workload().await, Workload::default());
    }
}
