//! What is not carried out at all.

use std::sync::Arc;

use contracts::keyvalue::{GET, INCREMENT, LONGEST_KEY, SET};

use super::client::{Client, code};
use crate::conformance::World;

pub async fn a_long_key_is_refused(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    let long = "k".repeat(LONGEST_KEY + 1);
    assert_eq!(code(store.set(&long, "x").await), "limit_exceeded");
    assert_eq!(code(store.get(&long).await), "limit_exceeded");
    assert_eq!(code(store.set_union(&["a", &long]).await), "limit_exceeded");
}

pub async fn arguments_of_another_form_are_refused(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    let nested = [0x91].repeat(10_000);
    for argument in [&[][..], &[0x7f], &[0xc0], &[0x80], &nested] {
        for operation in [GET, SET, INCREMENT] {
            assert_eq!(code(store.raw(operation, argument).await), "malformed", "{operation}");
        }
    }
    store.set("key", "value").await.expect("all is well afterwards");
}

pub async fn unknown_operations_are_refused(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    for operation in ["KeyValue.Nothing", "Get", "keyvalue.get", ""] {
        assert!(store.raw(operation, &[0xa1, 0x61]).await.is_err(), "{operation}");
    }
    assert_eq!(code(store.raw("KeyValue.Nothing", &[0xa1, 0x61]).await), "unsupported");
}
