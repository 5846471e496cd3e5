//! The signs of life that this host has sent lately: what else comes under its key is from another one.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Signs of life of our own that may be on their way.
const UNDER_WAY: usize = 64;

/// The signs of life that this host has sent lately.
#[derive(Debug, Default)]
pub struct OwnSigns(Mutex<VecDeque<String>>);

impl OwnSigns {
    /// One is sent.
    pub fn sent(&self, id: String) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() == UNDER_WAY {
            ids.pop_front();
        }
        ids.push_back(id);
    }

    /// Whether we have sent it.
    pub fn has(&self, id: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|sent| sent == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_are_known_for_a_while() {
        let own = OwnSigns::default();
        own.sent("a".to_owned());
        assert!(own.has("a") && !own.has("b"));
        for number in 0..UNDER_WAY {
            own.sent(number.to_string());
        }
        assert!(!own.has("a") && own.has("0"));
    }
}
