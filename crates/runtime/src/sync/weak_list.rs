//! A list that keeps nothing alive, for what comes and goes in any number.
//!
//! Invariants: those that are gone are at most as many as those that are there, but for a few; adding costs the same
//! however long the list is, over many additions.

use std::{
    mem,
    sync::{Arc, Weak},
};

/// Those that are gone are looked for at this length, and then whenever the list has doubled.
const FIRST_SWEEP: usize = 64;

pub(crate) struct WeakList<T: ?Sized> {
    entries: Vec<Weak<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for WeakList<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), sweep_at: FIRST_SWEEP }
    }
}

impl<T: ?Sized> WeakList<T> {
    /// Adds one. Whether all others were looked at for it.
    pub(crate) fn add(&mut self, entry: Weak<T>) -> bool {
        let sweeps = self.entries.len() >= self.sweep_at;
        if sweeps {
            self.entries.retain(|entry| entry.strong_count() > 0);
            self.sweep_at = FIRST_SWEEP.max(2 * self.entries.len());
        }
        self.entries.push(entry);
        sweeps
    }

    /// Those that are there.
    pub(crate) fn alive(&self) -> Vec<Arc<T>> {
        self.entries.iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of it; the list begins anew.
    pub(crate) fn take(&mut self) -> Vec<Weak<T>> {
        mem::take(self).entries
    }

    /// Has these back beside what came meanwhile.
    pub(crate) fn put_back(&mut self, mut entries: Vec<Weak<T>>) {
        self.entries.append(&mut entries);
        self.entries.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_to_a_long_list_does_not_look_at_all_of_it() {
        let mut list = WeakList::default();
        let alive: Vec<Arc<usize>> = (0..10_000).map(Arc::new).collect();
        let sweeps = alive.iter().filter(|entry| list.add(Arc::downgrade(entry))).count();
        assert!(sweeps <= 8, "once per doubling, not {sweeps} times");
        assert_eq!(list.alive().len(), alive.len());
    }

    #[test]
    fn those_that_are_gone_do_not_pile_up() {
        let mut list = WeakList::default();
        let alive: Vec<Arc<usize>> = (0..100).map(Arc::new).collect();
        alive.iter().for_each(|entry| _ = list.add(Arc::downgrade(entry)));
        (0..10_000).for_each(|number| _ = list.add(Arc::downgrade(&Arc::new(number))));
        assert_eq!(list.alive().len(), alive.len());
        assert!(list.entries.len() <= 2 * alive.len() + FIRST_SWEEP, "{} entries", list.entries.len());
    }
}
