//! `labels.{host}.put` and `.del`. Labels set here survive a restart.

use bytes::Bytes;
use lattice::control::{Ack, DeleteLabel, PutLabel, decode};

use crate::{core::Core, reason::reason};

/// Fact of the replica that holds the labels put by operators, as JSON; a null value is a removed label.
pub const LABELS_FACT: &str = "labels";

/// Sets a label.
pub async fn put(core: &Core, body: &Bytes) -> Ack {
    match decode::<PutLabel>(body) {
        Ok(PutLabel { key, .. }) if key.is_empty() => Ack::refused("a label needs a key"),
        Ok(PutLabel { key, value }) => change(core, key, Some(value)).await,
        Err(error) => Ack::refused(error),
    }
}

/// Removes a label; an unknown one is fine.
pub async fn delete(core: &Core, body: &Bytes) -> Ack {
    match decode::<DeleteLabel>(body) {
        Ok(label) => change(core, label.key, None).await,
        Err(error) => Ack::refused(error),
    }
}

async fn change(core: &Core, key: String, value: Option<String>) -> Ack {
    let replica = core.replica.clone();
    let (stored_key, stored_value) = (key.clone(), value.clone());
    let kept = tokio::task::spawn_blocking(move || {
        replica.change_fact(LABELS_FACT, |text| {
            let mut put: serde_json::Map<String, serde_json::Value> =
                text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            put.insert(stored_key, stored_value.into());
            serde_json::Value::Object(put).to_string()
        })
    });
    match kept.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Ack::refused(format!("cannot keep the label: {}", reason(&error))),
        Err(_) => return Ack::refused("this host is stopping"),
    }
    let mut labels = core.labels.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    match value {
        Some(value) => labels.insert(key, value),
        None => labels.remove(&key),
    };
    Ack::accepted()
}
