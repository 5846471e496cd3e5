//! Calls that take and leave instances beside those that make room, in every order.

use std::sync::atomic::AtomicBool as Flag;

use shuttle::thread;

use super::*;
use crate::sync::stepped::{in_every_order, step};

/// An instance that notices when two calls have it, or one after its end.
struct Instance(Arc<Flag>);

impl Instance {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn serve(&self) {
        assert!(!self.0.swap(true, SeqCst), "two calls have the same instance");
        step();
        self.0.store(false, SeqCst);
    }
}

/// What parks an instance needs an executor, which never runs here.
fn with_executor(model: impl Fn() + Send + Sync + 'static) {
    let executor = tokio::runtime::Builder::new_current_thread().build().expect("an executor");
    let _entered = executor.enter();
    in_every_order(model);
}

/// Serves two calls, with an instance that waits where there is one.
fn serve(idle: &Idle<Instance>, all: &AllIdle) {
    for _ in 0..2 {
        let Warm { instance, served } = idle.take().unwrap_or_else(|| Warm { instance: Instance::new(), served: 0 });
        assert!(all.count.load(SeqCst) <= 2, "more are counted than there can be");
        instance.serve();
        idle.park(Warm { instance, served: served + 1 });
        assert!(all.count.load(SeqCst) <= 2, "more are counted than there can be");
    }
}

fn list(idle: &Idle<Instance>) -> usize {
    idle.list.as_ref().map_or(0, |list| list.lock().instances.len())
}

#[test]
fn no_instance_serves_two_and_as_many_are_counted_as_wait() {
    with_executor(|| {
        let all = Arc::<AllIdle>::default();
        let idle = Arc::new(Idle::of(1, 8, &all));
        let (theirs, theirs_too) = (idle.clone(), all.clone());
        let other = thread::spawn(move || serve(&theirs, &theirs_too));
        let shedding = all.clone();
        let shedder = thread::spawn(move || shedding.make_room(1, 1));
        serve(&idle, &all);
        other.join().expect("no panic");
        shedder.join().expect("no panic");
        assert_eq!(all.count.load(SeqCst) as usize, list(&idle));
        assert!(list(&idle) <= 1, "more wait than may");
        drop(idle);
        assert_eq!(all.count.load(SeqCst), 0);
    });
}

#[test]
fn whoever_needs_room_has_it_unless_it_was_taken_again() {
    with_executor(|| {
        let all = Arc::<AllIdle>::default();
        let (first, second) = (Idle::of(1, 8, &all), Idle::of(1, 8, &all));
        let park = |idle: &Idle<Instance>| idle.park(Warm { instance: Instance::new(), served: 1 });
        park(&first);
        park(&second);
        let theirs = all.clone();
        let one = thread::spawn(move || theirs.make_room(2, 3));
        let taken = first.take();
        one.join().expect("no panic");
        assert_eq!(all.count.load(SeqCst) as usize, list(&first) + list(&second));
        assert!(all.count.load(SeqCst) <= 1, "there is no room");
        drop(taken);
    });
}
