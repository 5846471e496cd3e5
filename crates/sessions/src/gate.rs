//! Whether a batch of calls may be carried out: once, while the session is open, and never when its caller was told that
//! it is not.
//!
//! Pure. Invariants: a batch has the place [`Place::First`] once; one that had it never has [`Place::Ended`], because that
//! says that nothing of it was begun; what is closed does not open again.

use lattice::session::Window;

/// The gate of one session.
#[derive(Debug, Default)]
pub struct Gate {
    seen: Window,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The session is over, or made way for newer ones.
    Ended,
    /// The host takes no more calls, and has said which batch was the last.
    Left,
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is carried out.
    First,
    /// It was carried out, or is too old to know.
    Again,
    /// It is not carried out, now or ever, and was not.
    Ended,
    /// It comes after the last one.
    TooLate,
}

impl Gate {
    /// The place of a batch whose code held.
    pub fn place(&mut self, number: u64) -> Place {
        match self.state {
            State::Left => Place::TooLate,
            State::Ended if self.seen.is_new(number) => Place::Ended,
            State::Ended => Place::Again,
            State::Open if self.seen.is_first(number) => Place::First,
            State::Open => Place::Again,
        }
    }

    /// The session is over. Who left stays away.
    pub fn end(&mut self) {
        if self.state == State::Open {
            self.state = State::Ended;
        }
    }

    /// The host takes no more calls: the last batch whose calls it may have begun, the first time.
    pub fn leave(&mut self) -> Option<u64> {
        let before = std::mem::replace(&mut self.state, State::Left);
        (before != State::Left).then(|| self.seen.highest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ended_says_so_only_of_batches_that_it_has_not_carried_out() {
        let mut gate = Gate::default();
        assert_eq!([1, 3, 1].map(|number| gate.place(number)), [Place::First, Place::First, Place::Again]);
        gate.end();
        assert_eq!([1, 2, 3, 4, 4].map(|number| gate.place(number)), {
            [Place::Again, Place::Ended, Place::Again, Place::Ended, Place::Ended]
        });
        assert_eq!(gate.place(0), Place::Again, "no batch has this number");
    }

    #[test]
    fn a_batch_that_is_too_old_to_know_counts_as_carried_out() {
        let mut gate = Gate::default();
        assert_eq!(gate.place(5_000), Place::First);
        gate.end();
        assert_eq!(
            [1, 5_000 - 1_024, 4_999].map(|number| gate.place(number)),
            [Place::Again, Place::Again, Place::Ended]
        );
    }

    #[test]
    fn who_left_has_said_once_what_was_the_last_and_takes_nothing() {
        let mut gate = Gate::default();
        assert_eq!(gate.place(7), Place::First);
        assert_eq!([gate.leave(), gate.leave()], [Some(7), None]);
        gate.end();
        assert_eq!([6, 7, 8].map(|number| gate.place(number)), [Place::TooLate; 3]);
    }
}
