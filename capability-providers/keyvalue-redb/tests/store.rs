//! What is this provider's own: what survives, what is bounded, who shares.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use crate::support::{Embedded, client, link, try_start};

fn code<T: std::fmt::Debug>(outcome: Result<T, provider_sdk::contracts::CallError>) -> String {
    outcome.unwrap_err().code().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart_and_expires_when_it_should() {
    let world = Arc::new(Embedded::start(None));
    let store = client(&world, 1, &[]).await;
    store.set("key", "value").await.unwrap();
    store.list_add("list", "a").await.unwrap();
    store.set_add("set", "a").await.unwrap();
    store.set_for("soon", "gone", 1).await.unwrap();
    store.set_for("later", "here", 600).await.unwrap();
    drop(store);
    let world = Arc::new(Arc::into_inner(world).unwrap().again().await);
    let store = client(&world, 1, &[]).await;
    assert_eq!(store.get("key").await, Ok(Some(b"value".to_vec())));
    assert_eq!(store.list_range("list", 0, -1).await, Ok(vec!["a".to_owned()]));
    assert_eq!(store.set_query("set").await, Ok(vec!["a".to_owned()]));
    assert_eq!(store.get("later").await, Ok(Some(b"here".to_vec())));
    let started = std::time::Instant::now();
    while store.contains("soon").await.unwrap() {
        assert!(started.elapsed().as_secs() < 10, "it expires");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_fills_no_more_than_its_quota_and_gets_back_what_it_frees() {
    let world = Arc::new(Embedded::start(None));
    let small = client(&world, 1, &[("QUOTA_BYTES", "4000")]).await;
    let other = client(&world, 2, &[]).await;
    small.set("key", "x".repeat(3000)).await.unwrap();
    assert_eq!(code(small.set("more", "x".repeat(3000)).await), "limit_exceeded");
    assert_eq!(code(small.set_add("set", &"x".repeat(3000)).await), "limit_exceeded");
    assert_eq!(small.contains("more").await, Ok(false));
    assert_eq!(small.contains("set").await, Ok(false), "a refused member makes no set");
    small.set("key", "x".repeat(2999)).await.unwrap();
    other.set("key", "x".repeat(10_000)).await.unwrap();
    for _ in 0..20 {
        small.del("key").await.unwrap();
        for member in ["a", "b", "c"] {
            small.list_add("list", &member.repeat(1000)).await.unwrap();
        }
        assert_eq!(code(small.list_add("list", &"d".repeat(1000)).await), "limit_exceeded");
        small.list_del("list", &"b".repeat(1000)).await.unwrap();
        small.list_clear("list").await.unwrap();
        small.set_for("key", "x".repeat(3000), 600).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_gives_its_room_back() {
    let world = Arc::new(Embedded::start(None));
    let small = client(&world, 1, &[("QUOTA_BYTES", "4000")]).await;
    small.set_for("key", "x".repeat(3000), 1).await.unwrap();
    let started = std::time::Instant::now();
    while let Err(error) = small.set("other", "x".repeat(3000)).await {
        assert_eq!(error.code(), "limit_exceeded");
        assert!(started.elapsed().as_secs() < 10, "it is swept");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_a_largest_size() {
    let world = Arc::new(Embedded::start(Some(r#"{"max_answer_bytes":1000}"#)));
    let store = client(&world, 1, &[]).await;
    store.set("key", "x".repeat(1000)).await.unwrap();
    assert!(store.get("key").await.is_ok());
    store.set("key", "x".repeat(1001)).await.unwrap();
    assert_eq!(code(store.get("key").await), "limit_exceeded");
    for letter in ["a", "b", "c"] {
        store.list_add("list", &letter.repeat(400)).await.unwrap();
        store.set_add("set", &letter.repeat(400)).await.unwrap();
    }
    assert_eq!(store.list_range("list", 0, 1).await.map(|found| found.len()), Ok(2));
    assert_eq!(code(store.list_range("list", 0, 2).await), "limit_exceeded");
    assert_eq!(code(store.set_query("set").await), "limit_exceeded");
    assert_eq!(code(store.set_intersection(&["set", "set"]).await), "limit_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_that_is_cleared_is_taken_away_while_others_work() {
    let world = Arc::new(Embedded::start(None));
    let store = client(&world, 1, &[]).await;
    let adding = (0..40).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                store.list_add("list", "x").await.unwrap();
            }
        })
    });
    for task in adding.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(store.list_range("list", 0, -1).await.map(|found| found.len()), Ok(2000));
    assert_eq!(store.list_clear("list").await, Ok(true));
    assert_eq!(store.list_add("list", "new").await, Ok(1));
    assert_eq!(store.list_range("list", 0, -1).await, Ok(vec!["new".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_with_values_of_another_provider_is_refused_and_the_old_one_stays() {
    let world = Arc::new(Embedded::start(None));
    let store = client(&world, 1, &[]).await;
    store.set("key", "value").await.unwrap();
    let refused = world.provider.put_link(&link(1, &[("URL", "redis://127.0.0.1")])).await.unwrap_err();
    assert!(refused.to_string().contains("`namespace`, `quota_bytes`"), "{refused}");
    assert_eq!(store.get("key").await, Ok(Some(b"value".to_vec())));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_providers_do_not_share_one_file() {
    let world = Embedded::start(None);
    let Err(error) = try_start(world.dir.path(), None) else { panic!("it is in use") };
    assert!(error.to_string().contains("keyvalue.redb"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_read_the_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = Embedded::start(None);
    let mode = std::fs::metadata(world.dir.path().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
