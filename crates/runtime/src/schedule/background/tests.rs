//! Short calls stay, long ones are moved, and each ends where it is.

use std::{thread, time::Instant};

use tokio::task::yield_now;

use super::*;
use crate::schedule::meter;

fn background() -> Background {
    Background::new(1, Duration::from_micros(800))
}

/// What is known of an actor whose last call was long.
fn long() -> RunsLong {
    let runs_long = RunsLong::default();
    runs_long.set(true);
    runs_long
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// Computes like a guest: with a tick and a yield now and then, until `done`.
async fn compute(mut done: impl FnMut() -> bool) -> Result<String, Failure> {
    while !done() {
        let until = Instant::now() + Duration::from_millis(1);
        while Instant::now() < until {}
        meter::tick();
        yield_now().await;
    }
    Ok(thread_name())
}

fn within(deadline: Duration) -> impl FnMut() -> bool {
    let until = Instant::now() + deadline;
    move || {
        assert!(Instant::now() < until, "not moved");
        thread_name() == "background"
    }
}

#[tokio::test]
async fn a_short_call_stays_and_a_long_one_goes_on_in_the_background() {
    let (background, runs_long) = (background(), RunsLong::default());
    let short = background.run(&runs_long, None, async { Ok(thread_name()) }).await.expect("answers");
    assert_eq!(short, thread_name());
    assert!(background.runtime.0.get().is_none(), "no threads before they are needed");
    background.run(&runs_long, None, compute(within(Duration::from_secs(10)))).await.expect("moved");
}

#[tokio::test]
async fn whoever_was_long_begins_in_the_background_until_it_is_short() {
    let (background, runs_long) = (background(), RunsLong::default());
    background.run(&runs_long, None, compute(within(Duration::from_secs(10)))).await.expect("moved");
    let next = background.run(&runs_long, None, async { Ok(thread_name()) }).await.expect("answers");
    assert_eq!(next, "background");
    let next = background.run(&runs_long, None, async { Ok(thread_name()) }).await.expect("answers");
    assert_eq!(next, thread_name());
}

#[tokio::test]
async fn tasks_and_timers_of_a_moved_call_belong_to_its_caller() {
    let (background, runs_long) = (background(), long());
    let call = background.run(&runs_long, None, async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let task = tokio::spawn(async { thread_name() });
        Ok((thread_name(), task.await.expect("ends")))
    });
    assert_eq!(call.await.expect("answers"), ("background".to_owned(), thread_name()));
}

#[tokio::test]
async fn what_a_moved_call_leaves_to_be_done_when_it_is_dropped_belongs_to_its_caller() {
    /// As an upload that nobody finishes.
    struct Upload(tokio::sync::mpsc::UnboundedSender<String>);
    impl Drop for Upload {
        fn drop(&mut self) {
            let told = self.0.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                drop(told.send(thread_name()));
            });
        }
    }
    let (background, runs_long) = (background(), long());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let upload = Upload(tell);
    let call = background.run(&runs_long, None, async move {
        let _upload = upload;
        std::future::pending::<Result<(), _>>().await
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    assert_eq!(told.recv().await, Some(thread_name()), "it was cleaned up, where there is a timer");
}

#[tokio::test]
async fn a_dropped_call_ends_wherever_it_is() {
    let (background, runs_long) = (background(), RunsLong::default());
    let alive = Arc::new(());
    let theirs = alive.clone();
    let call = background.run(&runs_long, None, async move {
        let _theirs = theirs;
        compute(|| false).await
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    let until = Instant::now() + Duration::from_secs(10);
    while Arc::strong_count(&alive) > 1 {
        assert!(Instant::now() < until, "the guest goes on");
        yield_now().await;
    }
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_its_bound_though_the_threads_have_no_time() {
    let (background, runs_long) = (background(), long());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let occupant = background.handle().expect("threads").spawn(async move { released.recv() });
    let bound = Bound {
        deadline: Instant::now() + Duration::from_millis(50),
        moved: None,
        late: &|| CallError::DeadlineExceeded { step: "here".to_owned() },
    };
    let error = background.run(&runs_long, Some(bound), async { Ok(()) }).await.expect_err("there is no thread for it");
    assert_eq!(error.error, CallError::DeadlineExceeded { step: "here".to_owned() });
    assert!(bound.deadline.elapsed() >= GRACE, "not before the guest could have said it");
    drop(release);
    occupant.await.expect("ends").expect_err("was told nothing");
}

#[tokio::test]
async fn a_panic_on_a_background_thread_is_a_fault_of_ours() {
    let (background, runs_long) = (background(), long());
    let call =
        background.run(&runs_long, None, async { if thread_name() == "background" { panic!("ours") } else { Ok(()) } });
    assert_eq!(call.await.expect_err("fails").error.code(), "host_fault");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn background_threads_are_polite() {
    let (background, runs_long) = (background(), long());
    let nice = || rustix::process::getpriority_process(None).expect("answers");
    let ours = nice();
    let theirs = background.run(&runs_long, None, async move { Ok(nice()) }).await.expect("answers");
    assert_eq!((ours, theirs), (nice(), NICE.max(ours)));
}
