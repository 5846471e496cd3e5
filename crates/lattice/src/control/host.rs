//! `ping.hosts`: every host says who it is.
//!
//! The request is empty. A client relies on nothing but `id`.

use claims::HostId;
use serde::{Deserialize, Serialize};

use super::Labels;
use crate::bounds::{self, json_len};

/// One host's answer to `ping.hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct HostSummary {
    /// Who answers.
    pub id: HostId,
    /// Public key of the cluster seed the host signs invocations with.
    pub issuer: String,
    /// Facts about the host.
    pub labels: Labels,
    /// `adjective-noun-1234`.
    pub friendly_name: String,
    /// Time since start.
    pub uptime_seconds: u64,
    /// The same for people, see [`uptime_human`].
    pub uptime_human: String,
    /// Semantic version of the host.
    pub version: String,
    /// Cluster keys the host trusts, joined by commas.
    pub cluster_issuers: String,
    /// JetStream domain, if one is set.
    pub js_domain: Option<String>,
    /// Address of the control connection, `nats://host:port`.
    pub ctl_host: String,
    /// Address of the RPC connection, `nats://host:port`.
    pub rpc_host: String,
    /// The lattice. Travels twice, as `lattice` and under its older name `lattice_prefix`.
    pub lattice: String,
    /// The other hosts this host knows of; ours alone send it. A gather ends when everybody named has answered.
    pub peers: Option<Vec<HostId>>,
    /// Version of the session format the host speaks, zero for none; ours alone send it.
    pub sessions: u8,
}

impl HostSummary {
    /// A summary of which nothing is known but the id.
    #[must_use]
    pub fn new(id: HostId) -> Self {
        Self {
            id,
            issuer: String::new(),
            labels: Labels::new(),
            friendly_name: String::new(),
            uptime_seconds: 0,
            uptime_human: String::new(),
            version: String::new(),
            cluster_issuers: String::new(),
            js_domain: None,
            ctl_host: String::new(),
            rpc_host: String::new(),
            lattice: String::new(),
            peers: None,
            sessions: 0,
        }
    }
}

impl HostSummary {
    /// The answer as it can be told in a message of at most `most` bytes: without the peers when they do not fit (clients
    /// then wait for everybody), and with as many labels as do.
    #[must_use]
    pub fn within(mut self, most: usize) -> Self {
        if json_len(&self) <= most {
            return self;
        }
        self.labels = bounds::labels_within(self.labels);
        if json_len(&self) > most {
            self.peers = None;
        }
        while json_len(&self) > most && self.labels.pop_last().is_some() {}
        self
    }
}

/// Renders an uptime as hosts of the 0.82 line do: `1m 2s`, `1day 3h`.
#[must_use]
pub fn uptime_human(seconds: u64) -> String {
    let days = seconds / 86_400;
    let parts = [
        (days, if days == 1 { "day" } else { "days" }),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if said.is_empty() { "0s".to_owned() } else { said.join(" ") }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    id: HostId,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    issuer: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    labels: Labels,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    friendly_name: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    uptime_seconds: u64,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    uptime_human: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    version: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    cluster_issuers: String,
    #[serde(default)]
    js_domain: Option<String>,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    ctl_host: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    rpc_host: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    lattice_prefix: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    lattice: String,
    #[serde(default, deserialize_with = "super::lenient::parsable", skip_serializing_if = "Option::is_none")]
    peers: Option<Vec<HostId>>,
    #[serde(default, deserialize_with = "super::lenient::small_number", skip_serializing_if = "Option::is_none")]
    sessions: Option<u8>,
}

impl From<Wire> for HostSummary {
    fn from(wire: Wire) -> Self {
        Self {
            id: wire.id,
            issuer: wire.issuer,
            labels: wire.labels,
            friendly_name: wire.friendly_name,
            uptime_seconds: wire.uptime_seconds,
            uptime_human: wire.uptime_human,
            version: wire.version,
            cluster_issuers: wire.cluster_issuers,
            js_domain: wire.js_domain,
            ctl_host: wire.ctl_host,
            rpc_host: wire.rpc_host,
            lattice: if wire.lattice.is_empty() { wire.lattice_prefix } else { wire.lattice },
            peers: wire.peers,
            sessions: wire.sessions.unwrap_or_default(),
        }
    }
}

impl From<HostSummary> for Wire {
    fn from(host: HostSummary) -> Self {
        Self {
            id: host.id,
            issuer: host.issuer,
            labels: host.labels,
            friendly_name: host.friendly_name,
            uptime_seconds: host.uptime_seconds,
            uptime_human: host.uptime_human,
            version: host.version,
            cluster_issuers: host.cluster_issuers,
            js_domain: host.js_domain,
            ctl_host: host.ctl_host,
            rpc_host: host.rpc_host,
            lattice_prefix: host.lattice.clone(),
            lattice: host.lattice,
            peers: host.peers,
            sessions: Some(host.sessions).filter(|version| *version > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    #[test]
    fn labels_of_before_there_were_bounds_and_many_peers_do_not_make_a_host_mute() {
        let host = || HostId::try_from(KeyPair::generate(KeyKind::Server).public()).expect("a server key");
        let mut summary = HostSummary::new(host());
        summary.labels = [("a", "x".repeat(700_000)), ("b", "y".repeat(700_000)), ("c", "here".to_owned())]
            .map(|(key, value)| (key.to_owned(), value))
            .into();
        summary.peers = Some(vec![host(); 10_000]);
        let told = summary.clone().within(1 << 20);
        assert!(json_len(&told) <= 1 << 20);
        assert_eq!(told.labels.keys().collect::<Vec<_>>(), ["c"]);
        assert!(told.peers.is_some());
        let told = summary.within(64 << 10);
        assert!(json_len(&told) <= 64 << 10 && told.peers.is_none());
    }

    #[test]
    fn uptimes_read_like_those_of_real_hosts() {
        for (seconds, text) in
            [(0, "0s"), (62, "1m 2s"), (3600, "1h"), (86_400 + 10_801, "1day 3h 1s"), (172_800, "2days")]
        {
            assert_eq!(uptime_human(seconds), text);
        }
    }
}
