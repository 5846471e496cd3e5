//! Work that nobody waits for, put off until the thread has nothing else to do.
//!
//! A task for it would compete with what others wait for: the second task that becomes ready on a thread wakes another
//! thread, which takes longer than the work. Only on threads of an executor that was built with [`use_idle_time`]; elsewhere
//! nothing can be put off. Invariant: what is put off runs on the thread that put it off.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio::runtime::Builder;

use crate::error::ended::panic_text;

type Work = Box<dyn FnOnce()>;

thread_local! {
    static HAS_IDLE_TIME: Cell<bool> = const { Cell::new(false) };
    static LATER: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

/// Lets the threads of an executor do what guests put off before they go to sleep. Single calls are faster then.
pub fn use_idle_time(builder: &mut Builder) -> &mut Builder {
    let (start, stop) = (|| HAS_IDLE_TIME.set(true), || drop(LATER.take()));
    builder.on_thread_start(start).on_thread_park(do_it_now).on_thread_stop(stop)
}

/// Whether something can be put off on this thread.
pub(crate) fn is_used() -> bool {
    HAS_IDLE_TIME.get()
}

/// Does this before the thread goes to sleep. It must be short.
pub(crate) fn run_later(work: impl FnOnce() + 'static) {
    LATER.with_borrow_mut(|later| later.push(Box::new(work)));
}

fn do_it_now() {
    for work in LATER.take() {
        // A panic would end the thread, with all that waits for it.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            tracing::error!(message = panic_text(&*panic), "what a call put off panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_is_put_off_is_done_when_the_thread_has_nothing_to_do() {
        let (sender, receiver) = mpsc::channel();
        let executor = use_idle_time(Builder::new_multi_thread().worker_threads(1)).build().expect("an executor");
        assert!(!is_used(), "this thread is none of its own");
        let (first, second) = (sender.clone(), sender);
        let task = executor.spawn(async move {
            assert!(is_used());
            run_later(|| panic!("harms nobody"));
            run_later(move || first.send("put off").expect("somebody listens"));
            second.send("the task").expect("somebody listens");
        });
        executor.block_on(task).expect("it ends");
        assert_eq!([receiver.recv(), receiver.recv()], [Ok("the task"), Ok("put off")]);
    }
}
