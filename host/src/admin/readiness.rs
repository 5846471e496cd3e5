//! Whether a host is ready for work, and if not, why.
//!
//! Ready is a host that knows the lattice and has begun whatever it is to run. A broker that goes away later does not
//! change that: the host serves what it has (`docs/observability.md`). Pure: it is told the facts.

use serde::Serialize;

/// What readiness depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The host was told to stop.
    pub stopping: bool,
    /// Lattice state was compared with JetStream since the host started, or there is no NATS to compare with.
    pub synced: bool,
    /// Starts of an earlier run without an outcome.
    pub resuming: usize,
}

/// The body of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether work may be sent here.
    pub ready: bool,
    /// Why not; empty when ready.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable word.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Readiness {
    /// What keeps lattice state from being compared is that the NATS server refuses it.
    pub fn name_refusal(&mut self, reason: &str) {
        for known in self.reasons.iter_mut().filter(|known| known.code == "not_synced") {
            known.code = "store_refused";
            known.message = format!("the NATS server does not let this host have the buckets of the lattice: {reason}");
        }
    }
}

impl Facts {
    /// The verdict.
    #[must_use]
    pub fn judge(self) -> Readiness {
        let mut reasons = Vec::new();
        let mut add = |code, message| reasons.push(Reason { code, message });
        if self.stopping {
            add("stopping", "this host stops".to_owned());
        }
        if !self.synced {
            add("not_synced", "lattice state was not compared with JetStream yet; is NATS there?".to_owned());
        }
        if self.resuming > 0 {
            add("taking_up", format!("{} starts of the last run are under way", self.resuming));
        }
        Readiness { ready: reasons.is_empty(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_obstacle_is_named() {
        let ready = Facts { stopping: false, synced: true, resuming: 0 };
        assert_eq!(ready.judge(), Readiness { ready: true, reasons: Vec::new() });
        let codes = |facts: Facts| facts.judge().reasons.iter().map(|reason| reason.code).collect::<Vec<_>>();
        assert_eq!(codes(Facts { synced: false, ..ready }), ["not_synced"]);
        let mut refused = Facts { synced: false, ..ready }.judge();
        refused.name_refusal("no room");
        assert!(refused.reasons[0].code == "store_refused" && refused.reasons[0].message.ends_with("no room"));
        let all = Facts { stopping: true, synced: false, resuming: 2 };
        assert_eq!(codes(all), ["stopping", "not_synced", "taking_up"]);
        assert!(!all.judge().ready);
    }
}
