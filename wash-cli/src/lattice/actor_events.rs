//! What events say about an actor that was started, scaled or replaced on a host.
//!
//! Pure but for one look at an inventory, which stands in for hosts that report nothing. Invariant: an event counts
//! only when it is from that host and about that very reference.

use claims::{ActorId, HostId};
use lattice::{
    client::ControlClient,
    event::{Event, EventData},
};

use crate::lattice::watch::Verdict;

/// A wanted number of instances.
#[derive(Debug, Clone, Copy)]
pub struct Scaling<'a> {
    /// On which host.
    pub host: HostId,
    /// Of which reference.
    pub reference: &'a str,
    /// How many.
    pub max_instances: u32,
}

/// An actor that was scaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaled {
    /// Its id.
    pub id: ActorId,
    /// Its name, if it has one.
    pub name: String,
}

impl Scaled {
    /// How it is shown.
    pub fn shown(&self) -> String {
        if self.name.is_empty() { format!("`{}`", self.id) } else { format!("`{}` ({})", self.name, self.id) }
    }
}

impl Scaling<'_> {
    /// What an event means for it.
    pub fn judge(&self, event: &Event) -> Verdict<Scaled> {
        let ours = |host: &HostId, reference: &str| *host == self.host && reference == self.reference;
        match &event.data {
            // `actors_started` comes first; it says the same about an actor that was not there before.
            EventData::ActorScaled(scaled) if ours(&scaled.host_id, &scaled.image_ref) => {
                Verdict::Done(Scaled { id: scaled.public_key, name: scaled.claims.name.clone() })
            }
            EventData::ActorScaleFailed(failed)
                if ours(&failed.host_id, either(&failed.actor_ref, &failed.image_ref)) =>
            {
                Verdict::Failed(failed.error.clone())
            }
            EventData::ActorsStartFailed(failed)
                if ours(&failed.host_id, either(&failed.actor_ref, &failed.image_ref)) =>
            {
                Verdict::Failed(failed.error.clone())
            }
            _ => Verdict::Unrelated,
        }
    }
}

fn either<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.is_empty() { second } else { first }
}

/// How many instances of a reference a host runs without notes, if it says.
pub async fn running_as(control: &ControlClient, host: &HostId, reference: &str) -> Option<u32> {
    let inventory = control.inventory(host).await.ok()?;
    let mut instances = inventory.actors.iter().flat_map(|actor| {
        actor.instances.iter().map(|instance| (instance.image_ref.as_ref().or(actor.image_ref.as_ref()), instance))
    });
    let found = instances.find(|(from, one)| from.is_some_and(|from| from == reference) && one.annotations.is_empty());
    found.map(|(_, instance)| instance.max_instances)
}

/// Looks whether the host runs the reference with that many instances now.
pub async fn as_running(control: &ControlClient, scaling: &Scaling<'_>) -> Option<Scaled> {
    let inventory = control.inventory(&scaling.host).await.ok()?;
    let actor = inventory.actors.into_iter().find(|actor| {
        actor.instances.iter().any(|instance| {
            let reference = instance.image_ref.as_deref().or(actor.image_ref.as_deref());
            reference == Some(scaling.reference) && instance.max_instances == scaling.max_instances
        })
    })?;
    Some(Scaled { id: actor.id, name: actor.name.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use claims::{KeyKind, PublicKey};
    use serde_json::json;

    use super::*;

    fn key(kind: KeyKind, byte: u8) -> PublicKey {
        PublicKey::from_raw(kind, [byte; 32])
    }

    fn event(name: &str, data: &serde_json::Value) -> Event {
        let envelope = json!({
            "specversion": "1.0", "id": "1", "source": key(KeyKind::Server, 1), "time": "2026-01-01T00:00:00Z",
            "type": format!("com.wasmcloud.lattice.{name}"), "data": data,
        });
        Event::from_json(envelope.to_string().as_bytes()).unwrap()
    }

    fn judge(name: &str, data: serde_json::Value) -> Verdict<Scaled> {
        let host = key(KeyKind::Server, 1).try_into().unwrap();
        Scaling { host, reference: "file:///a.wasm", max_instances: 1 }.judge(&event(name, &data))
    }

    #[test]
    fn the_actor_of_our_reference_on_our_host_is_done() {
        let scaled = |host: u8, reference: &str| {
            json!({"public_key": key(KeyKind::Module, 2), "host_id": key(KeyKind::Server, host), "image_ref": reference,
                   "claims": {"name": "echo"}, "max_instances": 1})
        };
        let Verdict::Done(done) = judge("actor_scaled", scaled(1, "file:///a.wasm")) else { panic!("not done") };
        assert_eq!(done.name, "echo");
        assert!(matches!(judge("actor_scaled", scaled(9, "file:///a.wasm")), Verdict::Unrelated));
        assert!(matches!(judge("actor_scaled", scaled(1, "file:///b.wasm")), Verdict::Unrelated));
    }

    #[test]
    fn a_failure_is_taken_word_for_word_with_either_name_of_the_reference() {
        for member in ["actor_ref", "image_ref"] {
            let data = json!({"host_id": key(KeyKind::Server, 1), member: "file:///a.wasm", "error": "not signed"});
            let Verdict::Failed(reason) = judge("actor_scale_failed", data.clone()) else { panic!("not failed") };
            assert_eq!(reason, "not signed");
            assert!(matches!(judge("actors_start_failed", data), Verdict::Failed(_)));
        }
    }
}
