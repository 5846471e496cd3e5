//! Listing keys.

use std::{collections::BTreeSet, sync::Arc};

use super::client::Client;
use crate::conformance::World;

pub async fn all_keys_come_in_pages(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    let mut expected = BTreeSet::new();
    for number in 0..120 {
        let key = format!("key {number}");
        store.set(&key, "x").await.expect("a value");
        expected.insert(key);
    }
    store.list_add("a list", "x").await.expect("a list");
    store.set_add("a set", "x").await.expect("a set");
    expected.extend(["a list".to_owned(), "a set".to_owned()]);

    let (mut found, mut cursor) = (BTreeSet::new(), None);
    for _ in 0..1000 {
        let page = store.list_keys(cursor, 25).await.expect("a page");
        assert!(page.keys.len() <= 25, "{} keys", page.keys.len());
        found.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(cursor, None, "the pages end");
    assert_eq!(found, expected);
}

pub async fn a_page_has_no_more_than_asked(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.list_keys(None, 10).await.expect("a page").keys, Vec::<String>::new());
    for key in ["a", "b", "c"] {
        store.set(key, "x").await.expect("a value");
    }
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    for _ in 0..1000 {
        let page = store.list_keys(cursor, 1).await.expect("a page");
        assert!(page.keys.len() <= 1);
        found.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["a", "b", "c"].map(str::to_owned).into());
    assert!(store.list_keys(None, 0).await.is_err(), "a page of nothing never ends");
}
