//! What each role must be allowed to do on a NATS server, and no more (`docs/nats.md`).
//!
//! Pure: subjects, no server configuration. Answers to requests go out under the server's `allow_responses`, which every
//! role but the observer needs. Invariant: nothing here reaches into another lattice.

use std::collections::BTreeSet;

use claims::{HostId, ProviderId};

use super::{
    OPERATIONS, config_bucket, config_service, events, lattice_bucket, object_bucket, object_stream, revocation_bucket,
};
use crate::LatticeId;

/// Asks the server what JetStream there is for the account.
const ACCOUNT: &str = "$JS.API.INFO";

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A host: control, calls, events and state of its lattice.
    Host(HostId),
    /// A provider process: its own subjects, and calls to actors.
    Provider(ProviderId),
    /// An operator with `wash`: commands and calls.
    Operator,
    /// Whoever looks and changes nothing: `wash get`, `wash events`, `wash why`.
    Observer,
}

/// Subjects a role may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// What it may send to.
    pub publish: Vec<String>,
    /// What it may listen to.
    pub subscribe: Vec<String>,
    /// Whether it answers requests.
    pub responds: bool,
}

impl Role {
    /// The prefix of subjects on which this role waits for answers.
    #[must_use]
    pub fn inbox(&self) -> String {
        match self {
            Self::Host(host) => format!("_INBOX.{host}"),
            Self::Provider(provider) => format!("_INBOX.{provider}"),
            Self::Operator | Self::Observer => "_INBOX.wash".to_owned(),
        }
    }

    /// What it must be allowed in a lattice.
    #[must_use]
    pub fn permissions(&self, lattice: &LatticeId) -> Permissions {
        let (ctl, rpc, evt) = (format!("wasmbus.ctl.{lattice}"), format!("wasmbus.rpc.{lattice}"), events(lattice));
        let answers = format!("{}.>", self.inbox());
        let all_events = [evt.clone(), format!("{evt}.*")];
        let objects = payloads(lattice);
        let few = || objects.iter().filter(|subject| !only_hosts_need(subject)).cloned().collect();
        match self {
            Self::Host(_) => Permissions {
                publish: [
                    vec![format!("{ctl}.>"), format!("{rpc}.>"), config_service(lattice), ACCOUNT.to_owned()],
                    all_events.into(),
                    state(lattice),
                    objects.clone(),
                ]
                .concat(),
                subscribe: vec![format!("{ctl}.>"), format!("{rpc}.>"), evt, answers],
                responds: true,
            },
            // An actor has one token behind the lattice; a provider has more, so that none can call another.
            Self::Provider(id) => Permissions {
                publish: [vec![format!("{rpc}.*"), format!("{rpc}.*.relay.call")], few()].concat(),
                subscribe: vec![format!("{rpc}.{id}.>"), answers],
                responds: true,
            },
            // Whoever listens to events sends itself a word first, to know that it is heard.
            Self::Operator => Permissions {
                publish: [vec![format!("{ctl}.>"), format!("{rpc}.*"), answers.clone()], few()].concat(),
                subscribe: [all_events.into(), vec![answers]].concat(),
                responds: false,
            },
            Self::Observer => Permissions {
                publish: observed().map(|tail| format!("{ctl}.{tail}")).chain([answers.clone()]).collect(),
                subscribe: [all_events.into(), vec![answers]].concat(),
                responds: false,
            },
        }
    }
}

/// What somebody who looks and changes nothing asks hosts, each once.
fn observed() -> impl Iterator<Item = &'static str> {
    let all: BTreeSet<&str> = OPERATIONS.iter().filter_map(|operation| operation.observed).collect();
    all.into_iter()
}

/// Lattice state in JetStream.
fn state(lattice: &LatticeId) -> Vec<String> {
    let buckets = [lattice_bucket(lattice), config_bucket(lattice), revocation_bucket(lattice)];
    let of_bucket = |bucket: &String| {
        let mut subjects = stream(&format!("KV_{bucket}"));
        subjects.push(format!("$KV.{bucket}.>"));
        subjects
    };
    buckets.iter().flat_map(of_bucket).collect()
}

/// What of the stream of payloads nobody needs who stores one, reads one and deletes it. (Who may publish to it can
/// still replace what others stored, and who may read it reads all: the server does not tell objects apart.)
fn only_hosts_need(subject: &str) -> bool {
    ["$JS.API.STREAM.MSG.DELETE.", "$JS.API.CONSUMER.MSG.NEXT.", "$JS.ACK."].iter().any(|of| subject.starts_with(of))
}

/// Payloads that are too large for a message.
fn payloads(lattice: &LatticeId) -> Vec<String> {
    let mut subjects = stream(&object_stream(lattice));
    subjects.push(format!("$O.{}.>", object_bucket(lattice)));
    subjects
}

/// Making, reading and cleaning one stream.
fn stream(name: &str) -> Vec<String> {
    [
        "$JS.API.STREAM.CREATE.",
        "$JS.API.STREAM.INFO.",
        "$JS.API.STREAM.MSG.GET.",
        "$JS.API.STREAM.MSG.DELETE.",
        "$JS.API.STREAM.PURGE.",
        "$JS.API.DIRECT.GET.",
        "$JS.API.CONSUMER.CREATE.",
    ]
    .map(|prefix| format!("{prefix}{name}"))
    .into_iter()
    .chain(
        [
            "$JS.API.DIRECT.GET.",
            "$JS.API.CONSUMER.CREATE.",
            "$JS.API.CONSUMER.INFO.",
            "$JS.API.CONSUMER.DELETE.",
            "$JS.API.CONSUMER.MSG.NEXT.",
            "$JS.ACK.",
            "$JS.FC.",
        ]
        .map(|prefix| format!("{prefix}{name}.>")),
    )
    .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn roles() -> [(&'static str, Role); 4] {
        let host = "ND6ZWXTMTLBBXIOOEH3I7VQ4R6OVLAXCQDD4VE3RVWI272GHKXEDUZEM".parse().unwrap();
        let provider = "VCLAKPJEC3AAA4HYCNQWKGQNPQAMVZ26GCM3AD3AHSM3SGQOZLQSACBX".parse().unwrap();
        [
            ("host", Role::Host(host)),
            ("provider", Role::Provider(provider)),
            ("operator", Role::Operator),
            ("observer", Role::Observer),
        ]
    }

    #[test]
    fn no_role_reaches_into_another_lattice() {
        for (name, role) in roles() {
            let Permissions { publish, subscribe, .. } = role.permissions(&"LAB".parse().unwrap());
            for subject in publish
                .iter()
                .chain(&subscribe)
                .filter(|subject| !subject.starts_with("_INBOX.") && *subject != ACCOUNT)
            {
                assert!(subject.contains("LAB"), "{name}: {subject}");
                assert!(!subject.starts_with('>') && !subject.starts_with('*'), "{name}: {subject}");
            }
        }
    }

    #[test]
    fn the_page_for_operators_lists_every_subject_of_every_role() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/nats.md");
        let page = std::fs::read_to_string(path).unwrap();
        for (name, role) in roles() {
            let Permissions { publish, subscribe, .. } = role.permissions(&"LATTICE".parse().unwrap());
            for subject in publish.iter().chain(&subscribe) {
                let shown = subject
                    .replace("ND6ZWXTMTLBBXIOOEH3I7VQ4R6OVLAXCQDD4VE3RVWI272GHKXEDUZEM", "HOST")
                    .replace("VCLAKPJEC3AAA4HYCNQWKGQNPQAMVZ26GCM3AD3AHSM3SGQOZLQSACBX", "PROVIDER");
                assert!(page.contains(&format!("`{shown}`")), "{name}: `{shown}` is not in docs/nats.md");
            }
        }
    }
}
