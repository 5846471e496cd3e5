//! `labels.{host}.put` and `.del`. Labels set here survive a restart.

use bytes::Bytes;
use lattice::control::{Ack, DeleteLabel, PutLabel, decode};

use crate::{identity::Labels, process::error_chain::error_chain};

/// Sets a label.
pub async fn put(labels: &Labels, body: &Bytes) -> Ack {
    match decode::<PutLabel>(body) {
        Ok(PutLabel { key, .. }) if key.is_empty() => Ack::refused("a label needs a key"),
        Ok(PutLabel { key, value }) => change(labels, key, Some(value)).await,
        Err(error) => Ack::refused(error),
    }
}

/// Removes a label; an unknown one is fine.
pub async fn delete(labels: &Labels, body: &Bytes) -> Ack {
    match decode::<DeleteLabel>(body) {
        Ok(label) => change(labels, label.key, None).await,
        Err(error) => Ack::refused(error),
    }
}

async fn change(labels: &Labels, key: String, value: Option<String>) -> Ack {
    match labels.change(key, value).await {
        Ok(()) => Ack::accepted(),
        Err(error) => Ack::refused(error_chain(&error)),
    }
}
