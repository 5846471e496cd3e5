//! Starts and stops in the order they were asked for, over a provider that is compiled in and a file that is not there.

use std::time::Duration;

use claims::{ProviderId, revocation::Revoked};
use lattice::{
    LinkName,
    control::{Annotations, ScaleActor, StartProvider, StopActor, StopProvider},
};
use runtime::LimitSettings;

use super::{
    actor::NotStopped,
    provider::{OtherLinkName, StartProviderError},
};
use crate::testing::{FAKE, Upper, World, actor};

fn fake() -> ProviderId {
    ProviderId::well_known(FAKE.descriptor.name)
}

fn start(config: Option<&str>) -> StartProvider {
    StartProvider {
        provider_ref: "builtin://fake".to_owned(),
        configuration: config.map(str::to_owned),
        ..StartProvider::default()
    }
}

fn stop(link_name: LinkName) -> StopProvider {
    let contract_id = FAKE.descriptor.contract.parse().ok();
    StopProvider {
        provider_id: fake(),
        link_name,
        contract_id,
        annotations: Annotations::default(),
        host_id: String::new(),
    }
}

fn scale(reference: &str, max_instances: u32) -> ScaleActor {
    ScaleActor { actor_ref: reference.to_owned(), max_instances, ..ScaleActor::default() }
}

fn stop_actor() -> StopActor {
    StopActor { actor_id: actor(1), annotations: Annotations::default(), host_id: String::new() }
}

fn runs(world: &World) -> bool {
    world.providers.get(&fake(), &LinkName::default()).is_some()
}

#[tokio::test]
async fn a_provider_that_is_compiled_in_starts_is_told_and_is_desired() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    workloads.start_provider(start(None)).await.expect("it ends").expect("it starts");
    assert!(runs(&world) && world.names_told().contains(&"provider_started".to_owned()));
    assert!(desired.workload().await.wants_provider(&start(None)));
    assert!(world.store.tables().claims.get(&fake().public_key()).is_some(), "the lattice knows it");
}

#[tokio::test]
async fn what_runs_already_is_not_started_twice_and_that_is_no_failure() {
    let world = World::new();
    let workloads = world.upper().workloads;
    workloads.start_provider(start(None)).await.expect("it ends").expect("it starts");
    let again = workloads.start_provider(start(None)).await.expect("it ends");
    assert!(matches!(again, Err(StartProviderError::AlreadyRunning { .. })), "{again:?}");
    assert!(world.failures.about(None, |_| true).is_empty());
}

#[tokio::test]
async fn a_start_that_is_refused_leaves_nothing_and_is_remembered() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    let refused = workloads.start_provider(start(Some("bad"))).await.expect("it ends").expect_err("it is bad");
    assert!(matches!(refused, StartProviderError::Refused(_)) && refused.code() == "start_failed");
    assert!(!runs(&world) && world.names_told() == ["provider_start_failed"]);
    assert!(!desired.workload().await.wants_provider(&start(Some("bad"))));
    assert_eq!(world.failures.about(None, |_| true).len(), 1);
}

#[tokio::test]
async fn nobody_starts_a_provider_that_is_not_compiled_in() {
    let world = World::new();
    let command = StartProvider { provider_ref: "builtin://other".to_owned(), ..StartProvider::default() };
    let refused = world.upper().workloads.start_provider(command).await.expect("it ends").expect_err("unknown");
    assert!(matches!(refused, StartProviderError::Fetch(_)), "{refused}");
}

#[tokio::test]
async fn a_stop_after_a_start_stops_it_and_one_before_does_not() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    let before = workloads.stop_provider(stop(LinkName::default()));
    let started = workloads.start_provider(start(None));
    before.await.expect("it ends").expect("nothing to stop is fine");
    started.await.expect("it ends").expect("it starts");
    assert!(runs(&world));
    workloads.stop_provider(stop(LinkName::default())).await.expect("it ends").expect("it stops");
    assert!(!runs(&world) && desired.workload().await.providers.is_empty());
    let told = world.told();
    let (_, stopped) = told.iter().find(|(name, _)| name == "provider_stopped").expect("it is told");
    assert_eq!(stopped["reason"].as_str(), Some("stop"));
}

#[tokio::test]
async fn a_start_and_a_stop_that_are_asked_for_at_once_end_stopped() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    let (started, stopped) =
        (workloads.start_provider(start(None)), workloads.stop_provider(stop(LinkName::default())));
    let started = started.await.expect("it ends");
    stopped.await.expect("it ends").expect("it stops");
    assert!(!runs(&world), "{started:?}");
    assert!(!desired.workload().await.wants_provider(&start(None)), "nothing starts it again");
}

#[tokio::test]
async fn a_stop_under_another_link_name_says_so() {
    let world = World::new();
    let workloads = world.upper().workloads;
    let other: LinkName = "other".parse().expect("a link name");
    assert_eq!(workloads.stop_provider(stop(other.clone())).await.expect("it ends"), Ok(()), "unknown ones are fine");
    workloads.start_provider(start(None)).await.expect("it ends").expect("it starts");
    assert_eq!(workloads.stop_provider(stop(other)).await.expect("it ends"), Err(OtherLinkName));
    assert!(runs(&world));
}

#[tokio::test]
async fn what_a_list_names_is_not_started_and_what_runs_is_stopped() {
    let world = World::new();
    let workloads = world.upper().workloads;
    workloads.start_provider(start(None)).await.expect("it ends").expect("it starts");
    world.names_told();
    let enforcing = tokio::spawn(workloads.clone().enforce_revocations(Duration::from_secs(3600)));
    world.revoke(Revoked::Provider(fake())).await;
    while runs(&world) {
        tokio::task::yield_now().await;
    }
    let mut told = Vec::new();
    while !told.contains(&"provider_revoked".to_owned()) {
        tokio::task::yield_now().await;
        told.extend(world.names_told());
    }
    assert!(told.contains(&"provider_stopped".to_owned()), "{told:?}");
    world.life.stop.cancel();
    enforcing.await.expect("it ends with the host");
}

#[tokio::test]
async fn an_actor_that_cannot_be_had_ends_in_both_events_and_is_remembered() {
    let world = World::new();
    let workloads = world.upper().workloads;
    let failed = workloads.scale(scale("file:///nowhere/a.wasm", 1)).await.expect("it ends").expect_err("no file");
    assert_eq!(world.names_told(), ["actors_start_failed", "actor_scale_failed"], "{failed}");
    assert_eq!(world.failures.about(None, |_| true).len(), 1);
}

#[tokio::test]
async fn limits_beyond_what_the_operator_allows_are_refused_before_anything_is_fetched() {
    let world = World::with(|settings| {
        let mut most = LimitSettings::default();
        most.set("memory=1MiB").expect("a limit");
        settings.most = most;
    });
    let mut limits = LimitSettings::default();
    limits.set("memory=2MiB").expect("a limit");
    let command = ScaleActor { limits: Some(limits.to_texts()), ..scale("file:///nowhere/a.wasm", 1) };
    let refused = world.upper().workloads.scale(command).await.expect("it ends").expect_err("too much");
    assert_eq!(refused.code(), "limits_refused");
}

#[tokio::test]
async fn an_actor_that_does_not_run_is_not_stopped_and_that_is_said() {
    let world = World::new();
    let stopped = world.upper().workloads.stop_actor(stop_actor()).await.expect("it ends");
    assert_eq!(stopped, Err(NotStopped::NotRunning));
}

#[tokio::test]
async fn what_was_to_run_and_could_not_be_had_is_given_up_by_its_id() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    let (plain, limits) = (Annotations::default(), LimitSettings::default());
    desired.change(|workload| workload.scale(actor(1), "file:///nowhere/a.wasm", &plain, 1, &limits)).await;
    workloads.stop_actor(stop_actor()).await.expect("it ends").expect("it is given up");
    assert!(desired.workload().await.actors.is_empty());
}

#[tokio::test]
async fn a_start_of_the_last_run_that_was_stopped_meanwhile_comes_to_nothing() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    let (plain, limits) = (Annotations::default(), LimitSettings::default());
    desired.change(|workload| workload.scale(actor(1), "file:///nowhere/a.wasm", &plain, 1, &limits)).await;
    let stopped = workloads.stop_actor(stop_actor());
    let again = workloads.scale_again(scale("file:///nowhere/a.wasm", 1));
    stopped.await.expect("it ends").expect("it is given up");
    again.await.expect("it ends").expect("there is nothing to do any more");
    assert!(world.names_told().is_empty(), "nothing was tried");
}

#[tokio::test]
async fn a_provider_of_the_last_run_that_was_stopped_meanwhile_is_not_started() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    desired.change(|workload| workload.start(fake(), start(None))).await;
    workloads.stop_provider(stop(LinkName::default())).await.expect("it ends").expect("nothing runs");
    workloads.start_provider_again(start(None)).await.expect("it ends").expect("there is nothing to do");
    assert!(!runs(&world));
}

#[tokio::test]
async fn a_restarted_host_takes_up_what_is_desired_and_says_when_it_has() {
    let world = World::new();
    let Upper { workloads, desired, .. } = world.upper();
    desired.change(|workload| workload.start(fake(), start(None))).await;
    workloads.resume().await;
    assert_eq!(workloads.resuming.left(), 1);
    while workloads.resuming.left() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(runs(&world));
}
