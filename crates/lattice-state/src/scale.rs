//! What a scale command means for one actor on one host (protocol section 8.3). Pure.
//!
//! Per actor there is one entry per distinct annotation set; each has its own maximum, reference and code. Where 0.82 stays
//! silent or runs another module than the one asked for, we answer: every accepted command ends in an event.

use std::collections::BTreeMap;

/// Notes on a workload; sets compare by exact equality.
pub type Annotations = BTreeMap<String, String>;

/// One annotation set of a running actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// UUID shown in inventories.
    pub instance_id: String,
    /// Upper bound of concurrent executions.
    pub max_instances: u32,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing runs and nothing was asked for, or the maximum is what it was.
    Unchanged,
    /// Start or raise: the set now has `max`, `added` more than before.
    Raise {
        /// How many more.
        added: u32,
    },
    /// Lower: `removed` fewer than before, `remaining` stay.
    Lower {
        /// How many fewer.
        removed: u32,
        /// The new maximum.
        remaining: u32,
    },
    /// This set runs from another reference; an update is needed.
    OtherReference,
    /// This set runs what was under the reference before; an update is needed.
    OtherCode,
}

/// What an annotation set runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs<'a> {
    /// The reference.
    pub reference: &'a str,
    /// Its maximum.
    pub max: u32,
    /// Whether it is what the reference leads to now.
    pub current: bool,
}

/// Decides for one annotation set; `runs` is none when it does not run.
#[must_use]
pub fn decide(runs: Option<Runs<'_>>, wanted_ref: &str, max: u32) -> Decision {
    let Some(runs) = runs else {
        return if max == 0 { Decision::Unchanged } else { Decision::Raise { added: max } };
    };
    if max > 0 && runs.reference != wanted_ref {
        return Decision::OtherReference;
    }
    if max < runs.max {
        return Decision::Lower { removed: runs.max - max, remaining: max };
    }
    match runs.current {
        false => Decision::OtherCode,
        true if max == runs.max => Decision::Unchanged,
        true => Decision::Raise { added: max - runs.max },
    }
}

/// Sum of the maxima of all annotation sets; saturates, because unbounded is `u32::MAX`.
#[must_use]
pub fn total(instances: &BTreeMap<Annotations, Instance>) -> u32 {
    instances.values().fold(0, |sum, instance| sum.saturating_add(instance.max_instances))
}

/// Whether every wanted annotation is on the set; what a stop without annotations matches is everything.
#[must_use]
pub fn covers(set: &Annotations, wanted: &Annotations) -> bool {
    wanted.iter().all(|(key, value)| set.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_protocol() {
        let runs = |reference, max| Some(Runs { reference, max, current: true });
        let changed = |max| Some(Runs { reference: "r", max, current: false });
        let cases = [
            (None, 0, Decision::Unchanged),
            (None, 3, Decision::Raise { added: 3 }),
            (runs("r", 2), 2, Decision::Unchanged),
            (runs("r", 2), 5, Decision::Raise { added: 3 }),
            (runs("r", 7), 2, Decision::Lower { removed: 5, remaining: 2 }),
            (runs("r", 7), 0, Decision::Lower { removed: 7, remaining: 0 }),
            (runs("old", 1), 2, Decision::OtherReference),
            (runs("old", 2), 2, Decision::OtherReference),
            (runs("old", 2), 1, Decision::OtherReference),
            (runs("old", 2), 0, Decision::Lower { removed: 2, remaining: 0 }),
            (changed(2), 2, Decision::OtherCode),
            (changed(2), 5, Decision::OtherCode),
            (changed(2), 1, Decision::Lower { removed: 1, remaining: 1 }),
            (changed(2), 0, Decision::Lower { removed: 2, remaining: 0 }),
        ];
        for (running, max, expected) in cases {
            assert_eq!(decide(running, "r", max), expected, "{running:?} -> {max}");
        }
    }

    #[test]
    fn an_unbounded_set_saturates_the_total() {
        let instance = |max| Instance { instance_id: String::new(), max_instances: max };
        let sets = BTreeMap::from([
            (Annotations::new(), instance(u32::MAX)),
            ([("a".into(), "b".into())].into(), instance(3)),
        ]);
        assert_eq!(total(&sets), u32::MAX);
    }

    #[test]
    fn a_stop_with_annotations_matches_supersets() {
        let set: Annotations = [("a".into(), "1".into()), ("b".into(), "2".into())].into();
        assert!(covers(&set, &Annotations::new()));
        assert!(covers(&set, &[("a".into(), "1".into())].into()));
        assert!(!covers(&set, &[("a".into(), "2".into())].into()));
    }
}
