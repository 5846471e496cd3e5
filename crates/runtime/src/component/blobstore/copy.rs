//! Copying and moving objects. The contract has no such operation, so the bytes come through this host.
//!
//! Invariant: a source is removed only when its copy is complete, and never when it is its own copy.

use super::{
    read::Range,
    store::{Outcome, Refusal, Store},
    write::{CompletedBy, Value},
};
use crate::call::outgoing::Outgoing;

/// An object, with its container.
pub(super) struct Place<'a> {
    pub(super) container: &'a str,
    pub(super) object: &'a str,
}

impl Place<'_> {
    fn is(&self, other: &Self) -> bool {
        (self.container, self.object) == (other.container, other.object)
    }
}

/// Copies piece by piece; an object onto itself only makes sure that it is there.
pub(super) async fn copy(out: &Outgoing, store: &Store, from: &Place<'_>, to: &Place<'_>) -> Outcome<()> {
    if from.is(to) {
        let there = store.object_exists(from.container, from.object).await?;
        let missing = || Refusal::Error(format!("there is no object `{}` in `{}`", from.object, from.container));
        return if there { Ok(()) } else { Err(missing()) };
    }
    let mut source = Range::open(store.clone(), from.container, from.object, 0, u64::MAX).await?;
    let value = Value::new(out, CompletedBy::Finish);
    value.write_to(store.clone(), to.container, to.object).await?;
    while let Some(piece) = source.piece().await? {
        value.append(&piece).await?;
    }
    value.finish().await
}

pub(super) async fn rename(out: &Outgoing, store: &Store, from: &Place<'_>, to: &Place<'_>) -> Outcome<()> {
    copy(out, store, from, to).await?;
    if from.is(to) {
        return Ok(());
    }
    store.remove_objects(from.container, vec![from.object.to_owned()]).await
}
