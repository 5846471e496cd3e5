//! Which batches of a session were seen: the last 1024 numbers, whatever their order.
//!
//! Pure. Invariant: a number is new once, and one that is older than the window never.

const WORDS: usize = 16;
const SPAN: u64 = WORDS as u64 * 64;

/// The window of one direction of a session. Numbers begin at one.
#[derive(Debug, Clone, Default)]
pub struct Window {
    highest: u64,
    seen: [u64; WORDS],
}

impl Window {
    /// The highest number so far; zero before the first.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a number would be new.
    #[must_use]
    pub fn is_new(&self, number: u64) -> bool {
        if number == 0 || number.saturating_add(SPAN) <= self.highest {
            return false;
        }
        let (word, bit) = place(number);
        number > self.highest || self.seen[word] & bit == 0
    }

    /// Notes a number; false when it was seen before, is too old to know, or is zero.
    #[must_use]
    pub fn is_first(&mut self, number: u64) -> bool {
        if !self.is_new(number) {
            return false;
        }
        if number > self.highest {
            self.advance(number);
        }
        let (word, bit) = place(number);
        self.seen[word] |= bit;
        true
    }

    fn advance(&mut self, number: u64) {
        if number - self.highest >= SPAN {
            self.seen = [0; WORDS];
        } else {
            for skipped in self.highest + 1..=number {
                let (word, bit) = place(skipped);
                self.seen[word] &= !bit;
            }
        }
        self.highest = number;
    }
}

fn place(number: u64) -> (usize, u64) {
    let slot = number % SPAN;
    (usize::try_from(slot / 64).expect("below sixteen"), 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_number_is_new_once_in_any_order() {
        let mut window = Window::default();
        for number in [1, 3, 2, 1000, 5, 4] {
            assert!(window.is_first(number), "{number}");
        }
        for number in [0, 1, 2, 3, 4, 5, 1000] {
            assert!(!window.is_first(number), "{number}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_never_new() {
        let mut window = Window::default();
        assert!(window.is_first(5000));
        assert!(!window.is_first(5000 - SPAN));
        assert!(window.is_first(5000 - SPAN + 1));
        assert!(window.is_first(u64::MAX));
        assert!(!window.is_first(5001));
    }

    #[test]
    fn it_agrees_with_a_set_that_forgets_nothing() {
        let (mut window, mut set, mut random) = (Window::default(), BTreeSet::new(), 1_u64);
        let mut highest = 0;
        for step in 0..50_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (step + (random >> 40) % 3000).max(1);
            highest = highest.max(number);
            let expected = number + SPAN > highest && set.insert(number);
            assert_eq!(window.is_new(number), expected, "{number} at {step}");
            assert_eq!(window.is_first(number), expected, "{number} at {step}");
        }
    }
}
