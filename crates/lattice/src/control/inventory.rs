//! `get.{host}.inv`: what a host runs. The same object is the payload of a heartbeat.
//!
//! The request is empty. There is one instance entry per set of annotations, not per concurrent execution.

use std::collections::BTreeMap;

use claims::{ActorId, HostId, ProviderId};
use serde::{Deserialize, Serialize};

use super::{Annotations, Labels, Limits};
use crate::{
    ContractId, LinkName,
    bounds::{self, json_len},
};

/// What a host runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInventory {
    /// The host.
    pub host_id: HostId,
    /// Public key of the cluster seed the host signs invocations with.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub issuer: String,
    /// `adjective-noun-1234`.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub friendly_name: String,
    /// Facts about the host.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub labels: Labels,
    /// Semantic version of the host.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub version: String,
    /// Time since start, for people.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub uptime_human: String,
    /// Time since start.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub uptime_seconds: u64,
    /// Actors that have at least one instance entry.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub actors: Vec<ActorDescription>,
    /// One entry per provider and link name.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub providers: Vec<ProviderDescription>,
    /// Version of the session format the host speaks, if it does. Ours; hosts of others do not send it.
    #[serde(default, deserialize_with = "super::lenient::small_number", skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u8>,
    /// How many actors and providers are left out because they do not fit a message. Ours.
    #[serde(default, deserialize_with = "super::lenient::null_is_default", skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl HostInventory {
    /// The inventory as it can be told in a message of at most `most` bytes. What was kept before there were bounds is told
    /// within them; when it is too much nevertheless, as many providers and actors are told as fit, and how many are
    /// not: a host that says most of what it runs is better than one that says nothing.
    #[must_use]
    pub fn within(mut self, most: usize) -> Self {
        if json_len(&self) <= most {
            return self;
        }
        self.labels = bounds::labels_within(self.labels);
        let (actors, providers) = (std::mem::take(&mut self.actors), std::mem::take(&mut self.providers));
        let mut left = most.saturating_sub(json_len(&self) + LEFT_OUT_BYTES);
        for provider in providers.into_iter().map(ProviderDescription::shortened) {
            if fits(&provider, &mut left) {
                self.providers.push(provider);
            } else {
                self.left_out += 1;
            }
        }
        for actor in actors.into_iter().map(ActorDescription::shortened) {
            if fits(&actor, &mut left) {
                self.actors.push(actor);
            } else {
                self.left_out += 1;
            }
        }
        self
    }
}

/// For [`HostInventory::left_out`] itself.
const LEFT_OUT_BYTES: usize = 64;

/// Whether a row and the comma behind it fit; then they are taken from what is left.
fn fits<T: Serialize>(row: &T, left: &mut usize) -> bool {
    match left.checked_sub(json_len(row) + 1) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

fn shorten(text: &mut Option<String>, most: usize) {
    if let Some(text) = text.as_mut().filter(|text| text.len() > most) {
        text.truncate(text.floor_char_boundary(most));
    }
}

/// Annotations are compared by equality, so they are told whole or not at all.
fn shorten_annotations(annotations: &mut Annotations) {
    if bounds::annotations(annotations).is_err() {
        annotations.clear();
    }
}

/// An actor on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorDescription {
    /// The actor.
    #[serde(alias = "public_key")]
    pub id: ActorId,
    /// Reference of one of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// Name from its claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One entry per set of annotations.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub instances: Vec<ActorInstance>,
    /// The limits its start set. Ours; hosts of others do not send it.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// How often its calls broke which limit. Ours; hosts of others do not send it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits_exceeded: BTreeMap<String, u64>,
}

impl ActorDescription {
    fn shortened(mut self) -> Self {
        shorten(&mut self.image_ref, bounds::MAX_REFERENCE);
        shorten(&mut self.name, bounds::MAX_CLAIM_TEXT);
        for instance in &mut self.instances {
            shorten(&mut instance.image_ref, bounds::MAX_REFERENCE);
            shorten_annotations(&mut instance.annotations);
        }
        self
    }
}

/// An actor with one set of annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WireInstance", into = "WireInstance")]
pub struct ActorInstance {
    /// Notes given when it was scaled.
    pub annotations: Annotations,
    /// The reference as the operator wrote it.
    pub image_ref: Option<String>,
    /// UUID text.
    pub instance_id: String,
    /// Revision from its claims.
    pub revision: i32,
    /// Upper bound of concurrent executions. Travels twice, also as `max_concurrent`, which is all that wadm 0.10 reads,
    /// into 16 bits.
    pub max_instances: u32,
}

#[derive(Serialize, Deserialize)]
struct WireInstance {
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    annotations: Annotations,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_ref: Option<String>,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    instance_id: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    revision: i32,
    #[serde(default)]
    max_instances: Option<u32>,
    #[serde(default)]
    max_concurrent: Option<u32>,
}

impl From<WireInstance> for ActorInstance {
    fn from(wire: WireInstance) -> Self {
        Self {
            annotations: wire.annotations,
            image_ref: wire.image_ref,
            instance_id: wire.instance_id,
            revision: wire.revision,
            max_instances: wire.max_instances.or(wire.max_concurrent).unwrap_or_default(),
        }
    }
}

impl From<ActorInstance> for WireInstance {
    fn from(instance: ActorInstance) -> Self {
        Self {
            annotations: instance.annotations,
            image_ref: instance.image_ref,
            instance_id: instance.instance_id,
            revision: instance.revision,
            max_instances: Some(instance.max_instances),
            max_concurrent: Some(instance.max_instances.min(u16::MAX.into())),
        }
    }
}

/// A provider on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderDescription {
    /// The provider.
    #[serde(alias = "public_key")]
    pub id: ProviderId,
    /// Notes given when it was started.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub annotations: Annotations,
    /// The reference as the operator wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// Contract it serves.
    pub contract_id: ContractId,
    /// Link name it runs under.
    #[serde(default, deserialize_with = "super::lenient::empty_is_default")]
    pub link_name: LinkName,
    /// Name from its claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Revision from its claims.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub revision: i32,
}

impl ProviderDescription {
    fn shortened(mut self) -> Self {
        shorten(&mut self.image_ref, bounds::MAX_REFERENCE);
        shorten(&mut self.name, bounds::MAX_CLAIM_TEXT);
        shorten_annotations(&mut self.annotations);
        self
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    fn inventory(actors: Vec<ActorDescription>) -> HostInventory {
        HostInventory {
            host_id: KeyPair::generate(KeyKind::Server).public().try_into().expect("a server key"),
            issuer: String::new(),
            friendly_name: "x".to_owned(),
            labels: Labels::new(),
            version: String::new(),
            uptime_human: String::new(),
            uptime_seconds: 0,
            actors,
            providers: Vec::new(),
            sessions: None,
            left_out: 0,
        }
    }

    fn actor(name: &str, annotations: &[(&str, &str)]) -> ActorDescription {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ActorDescription {
            id: KeyPair::generate(KeyKind::Module).public().try_into().expect("a module key"),
            image_ref: Some("file:///a.wasm".to_owned()),
            name: Some(name.to_owned()),
            instances: vec![ActorInstance {
                annotations,
                image_ref: Some("file:///a.wasm".to_owned()),
                instance_id: "i".to_owned(),
                revision: 1,
                max_instances: 70_000,
            }],
            limits: Limits::new(),
            limits_exceeded: BTreeMap::new(),
        }
    }

    #[test]
    fn names_and_annotations_of_before_there_were_bounds_do_not_make_a_host_mute() {
        let long = "n".repeat(700_000);
        let told = inventory(vec![actor(&long, &[("a", "b")]), actor("b", &[("note", &long)])]).within(1 << 20);
        assert!(json_len(&told) <= 1 << 20);
        assert_eq!((told.actors.len(), told.left_out), (2, 0));
        assert_eq!(told.actors[0].name.as_ref().map(String::len), Some(bounds::MAX_CLAIM_TEXT));
        assert_eq!(told.actors[0].instances[0].annotations.len(), 1);
        assert!(told.actors[1].instances[0].annotations.is_empty());
    }

    #[test]
    fn of_more_actors_than_fit_as_many_are_told_as_do_and_the_others_are_counted() {
        let all = inventory((0..6_000).map(|number| actor(&number.to_string(), &[])).collect());
        let told = all.clone().within(1 << 20);
        let length = json_len(&told);
        assert!(length <= 1 << 20 && length > 1_000_000, "{length}");
        assert_eq!(told.actors.len() + told.left_out, 6_000);
        let few = inventory(all.actors[..10].to_vec());
        assert_eq!(few.clone().within(1 << 20), few);
    }

    #[test]
    fn a_maximum_is_told_under_both_names_and_read_under_either() {
        let json = serde_json::to_value(&actor("a", &[]).instances[0]).expect("JSON");
        assert_eq!((&json["max_instances"], &json["max_concurrent"]), (&70_000.into(), &65_535.into()));
        let old: ActorInstance =
            serde_json::from_str(r#"{"instance_id":"i","max_concurrent":3}"#).expect("an instance");
        assert_eq!(old.max_instances, 3);
    }
}
