//! `stream-object-names`: the list of a container, page by page.
//!
//! Invariant: one page is held, and one answer to the guest has a bounded number of names.

use std::collections::VecDeque;

use contracts::{
    CallError,
    blobstore::{LIST_OBJECTS, ListObjectsResponse},
};

use super::store::{Outcome, Store};

/// Most names in one answer; a guest that wants more asks again.
const NAMES: usize = 10_000;

pub(super) struct Names {
    store: Store,
    container: String,
    page: VecDeque<String>,
    /// What follows the page: nothing, or what the provider wants to hear.
    next: Option<String>,
}

impl Names {
    /// Fetches the first page.
    pub(super) async fn open(store: Store, container: &str) -> Outcome<Self> {
        let first = store.list(container, None).await?;
        let mut names = Self { store, container: container.to_owned(), page: VecDeque::new(), next: None };
        names.take(first)?;
        names.fill().await?;
        Ok(names)
    }

    /// At most `len` names, and whether there are no more.
    pub(super) async fn read(&mut self, len: u64) -> Outcome<(Vec<String>, bool)> {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(NAMES);
        let mut names = Vec::new();
        while names.len() < len && !self.page.is_empty() {
            let more = self.page.len().min(len - names.len());
            names.extend(self.page.drain(..more));
            self.fill().await?;
        }
        Ok((names, self.page.is_empty()))
    }

    /// Passes over at most `count` names; says over how many, and whether there are no more.
    pub(super) async fn skip(&mut self, count: u64) -> Outcome<(u64, bool)> {
        let mut skipped = 0;
        while skipped < count && !self.page.is_empty() {
            let more = self.page.len().min(usize::try_from(count - skipped).unwrap_or(usize::MAX));
            self.page.drain(..more);
            skipped += more as u64;
            self.fill().await?;
        }
        Ok((skipped, self.page.is_empty()))
    }

    /// Fetches pages until there is a name or no page.
    async fn fill(&mut self) -> Outcome<()> {
        while self.page.is_empty()
            && let Some(next) = self.next.take()
        {
            let page = self.store.list(&self.container, Some(next)).await?;
            self.take(page)?;
        }
        Ok(())
    }

    fn take(&mut self, page: ListObjectsResponse) -> Outcome<()> {
        self.next = if page.is_last { None } else { page.continuation };
        if !page.is_last && self.next.is_none() {
            let reason = "it is not the last page and does not say how to go on".to_owned();
            return Err(CallError::Malformed { what: LIST_OBJECTS.to_owned(), reason }.into());
        }
        self.page.extend(page.objects.into_iter().map(|object| object.object_id));
        Ok(())
    }
}
