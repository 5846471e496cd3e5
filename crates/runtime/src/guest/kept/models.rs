//! A caller beside a look, in every order.

use std::sync::Arc;

use shuttle::thread;

use super::*;
use crate::sync::stepped::{in_every_order, step};

impl Owned for Arc<()> {
    fn owners(&self) -> usize {
        Arc::strong_count(self)
    }
}

/// A thing that was not asked for since the last look.
fn idle() -> Arc<Kept<Arc<()>, u32>> {
    let kept = Kept::new(Arc::new(()));
    assert_eq!(kept.look(|| Some(1)), Seen::InUse);
    Arc::new(kept)
}

#[test]
fn what_a_caller_got_since_the_last_look_stays_though_the_caller_is_gone() {
    in_every_order(|| {
        let kept = idle();
        let theirs = kept.clone();
        let caller = thread::spawn(move || theirs.wanted().is_some());
        let seen = kept.look(|| Some(1));
        let got_it = caller.join().expect("no panic");
        assert!(!got_it || seen == Seen::InUse, "it was let go of beneath a caller");
        assert!(got_it || seen == Seen::LetGo, "nobody had it, and it stayed");
    });
}

#[test]
fn what_somebody_has_is_not_let_go_of() {
    in_every_order(|| {
        let kept = idle();
        let theirs = kept.clone();
        let holder = thread::spawn(move || {
            let thing = theirs.here();
            step();
            let is_here = theirs.here().is_some();
            thing.is_some().then_some(is_here)
        });
        kept.look(|| Some(1));
        assert_ne!(holder.join().expect("no panic"), Some(false), "it is in use, and counts as being elsewhere");
    });
}

#[test]
fn whoever_does_not_find_it_finds_what_to_fetch_it_from_and_has_it_back() {
    in_every_order(|| {
        let kept = idle();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let theirs = kept.clone();
                thread::spawn(move || {
                    if theirs.wanted().is_none() {
                        assert_eq!(theirs.get().err().unwrap_or(1), 1);
                        theirs.put_back(Arc::new(()));
                    }
                })
            })
            .collect();
        kept.look(|| Some(1));
        callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
        let seen = kept.look(|| Some(1));
        assert!(kept.here().is_some() == (seen != Seen::LetGo));
    });
}
