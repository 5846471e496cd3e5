//! Decisions of the policy service, remembered (protocol section 8.5).
//!
//! Pure bookkeeping. Reading takes one look into a sharded map and never waits for a question that is being asked.
//! Invariants: no more questions are remembered than the bound allows, the oldest go first; a decision is here only as
//! long as the id of its question is, so that news about it is always understood.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::{DashMap, mapref::entry::Entry};
use lattice::policy::PolicyDecision;

use super::Question;

/// What the service said about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The question as the service knows it.
    pub request_id: Arc<str>,
    /// Yes or no.
    pub permitted: bool,
    /// Its words.
    pub message: Option<Arc<str>>,
}

impl From<PolicyDecision> for Decision {
    fn from(wire: PolicyDecision) -> Self {
        Self { request_id: wire.request_id.into(), permitted: wire.permitted, message: wire.message.map(Arc::from) }
    }
}

/// The memory.
pub struct Decisions {
    most: usize,
    decided: DashMap<Question, Decision>,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    by_id: HashMap<Arc<str>, Question>,
    order: VecDeque<Arc<str>>,
}

impl Decisions {
    /// Remembers at most so many questions.
    pub fn new(most: usize) -> Self {
        Self { most, decided: DashMap::new(), asked: Mutex::default() }
    }

    /// What is known.
    pub fn get(&self, question: &Question) -> Option<Decision> {
        self.decided.get(question).map(|decision| decision.clone())
    }

    /// A question is about to be asked under an id: news about it may come before its answer.
    pub fn ask(&self, id: &Arc<str>, question: &Question) {
        let mut asked = self.lock();
        while asked.order.len() >= self.most {
            let Some(oldest) = asked.order.pop_front() else { break };
            if let Some(forgotten) = asked.by_id.remove(&oldest) {
                self.decided.remove_if(&forgotten, |_, decision| decision.request_id == oldest);
            }
        }
        asked.order.push_back(id.clone());
        asked.by_id.insert(id.clone(), question.clone());
    }

    /// The answer to a question. What the changes topic said since it was asked is newer and stays. What holds now.
    pub fn answer(&self, question: &Question, decision: Decision) -> Decision {
        let asked = self.lock();
        if !asked.by_id.contains_key(&decision.request_id) {
            return decision; // forgotten in a flood of other questions: it counts once
        }
        match self.decided.entry(question.clone()) {
            Entry::Occupied(newer) if newer.get().request_id == decision.request_id => newer.get().clone(),
            Entry::Occupied(mut older) => {
                older.insert(decision.clone());
                decision
            }
            Entry::Vacant(slot) => slot.insert(decision).clone(),
        }
    }

    /// News. Whether it is about a question that is remembered.
    pub fn change(&self, decision: Decision) -> bool {
        let asked = self.lock();
        let Some(question) = asked.by_id.get(&decision.request_id) else { return false };
        self.decided.insert(question.clone(), decision);
        true
    }

    /// Forgets every decision: news may have been missed. The ids stay, because the service still knows them.
    pub fn forget(&self) {
        self.decided.clear();
    }

    /// How many decisions are remembered.
    pub fn len(&self) -> usize {
        self.decided.len()
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};
    use lattice::policy::PolicyAction;

    use super::*;
    use crate::policy::Party;

    fn question(byte: u8) -> Question {
        let key = |kind| KeyPair::from_raw_seed(kind, &[byte; 32]).public();
        let actor = key(KeyKind::Module).try_into().expect("an actor");
        let issuer = key(KeyKind::Account).try_into().expect("an account");
        Question::start(PolicyAction::StartActor, Party::actor(&actor, Some(issuer)))
    }

    fn decision(id: &str, permitted: bool) -> Decision {
        Decision { request_id: id.into(), permitted, message: None }
    }

    #[test]
    fn an_answer_holds_until_the_service_changes_its_mind() {
        let (decisions, question) = (Decisions::new(10), question(1));
        decisions.ask(&"a".into(), &question);
        assert_eq!(decisions.get(&question), None);
        decisions.answer(&question, decision("a", true));
        assert!(decisions.get(&question).is_some_and(|known| known.permitted));
        assert!(decisions.change(decision("a", false)));
        assert!(decisions.get(&question).is_some_and(|known| !known.permitted));
        assert!(!decisions.change(decision("b", true)), "nobody asked that");
    }

    #[test]
    fn news_that_overtakes_the_answer_stays() {
        let (decisions, question) = (Decisions::new(10), question(1));
        decisions.ask(&"a".into(), &question);
        assert!(decisions.change(decision("a", false)));
        assert!(!decisions.answer(&question, decision("a", true)).permitted);
        assert!(decisions.get(&question).is_some_and(|known| !known.permitted));
    }

    #[test]
    fn after_an_outage_the_ids_the_service_knows_still_mean_something() {
        let (decisions, question) = (Decisions::new(10), question(1));
        decisions.ask(&"a".into(), &question);
        decisions.answer(&question, decision("a", true));
        decisions.forget();
        assert_eq!(decisions.get(&question), None);
        assert!(decisions.change(decision("a", false)));
        assert!(decisions.get(&question).is_some_and(|known| !known.permitted));
    }

    #[test]
    fn the_oldest_questions_are_forgotten_with_their_decisions() {
        let decisions = Decisions::new(3);
        for byte in 0..100 {
            let id: Arc<str> = byte.to_string().into();
            decisions.ask(&id, &question(byte));
            decisions.answer(&question(byte), decision(&id, true));
        }
        assert_eq!(decisions.len(), 3);
        assert!(decisions.get(&question(99)).is_some() && decisions.get(&question(0)).is_none());
        decisions.answer(&question(0), decision("0", true));
        assert_eq!(decisions.len(), 3, "an answer that comes after its question was forgotten counts once");
    }
}
