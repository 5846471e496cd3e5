//! The rules by which replicas that were apart become one, by name.
//!
//! They are spelled where they are applied; here each has a name, so that a test can leave one out and see that it is missed
//! (`simulation::rules`). Outside that test every rule holds, which the compiler knows.

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// What the lattice has and this host does not know is taken.
    TakeNews,
    /// What is deleted here is deleted in a bucket that was made anew, or others would fill it in again.
    DeleteInNewBucket,
    /// What is missing in a bucket that remembers us was deleted by others.
    MissingMeansDeleted,
    /// What is missing in a bucket that was made anew is filled in.
    FillNewBucket,
    /// What was decided by one state of a key overwrites no other.
    OverwriteOnlyWhatWasSeen,
    /// What was written here during an outage is sent.
    SendWhatWaits,
    /// What was written here once more, and is in the bucket already, is sent all the same.
    SendRepetitions,
    /// A deletion that waits here is sent, also when there is nothing to delete: others may come with it.
    SendDeletions,
    /// Where both sides are equal, the revision is noted.
    NoteAgreement,
    /// What was changed here, and by nobody else since, is not in conflict.
    KnowWhatWasChanged,
    /// In a bucket that was made anew, what was changed here was filled in again by others, and is changed once more.
    KnowWhatWasFilledIn,
    /// What was filled in, as it seems, may have been put anew: that is said.
    SayWhatWasPutAnew,
    /// In a bucket that was made anew, what differs from what is known here may be older or later: that is said.
    SayWhatIsInDoubt,
    /// What does not wait here gives way to what the lattice has.
    GiveWay,
    /// Of two writers that were apart the later one wins.
    LaterWins,
    /// Where two writers were apart, it is said.
    SayConflicts,
    /// A bucket that was made anew is another one.
    TellBucketsApart,
    /// What was written here while the buckets were compared is later than what was decided.
    WrittenMeanwhileIsLater,
    /// A deletion is remembered, with what it deleted.
    RememberDeletions,
    /// A change is remembered with what it changed, also when it is confirmed.
    RememberWhatWasChanged,
    /// Many keys are sent side by side.
    SendSideBySide,
    /// Of two revocation lists of one signer the one with the higher number is in force.
    HigherNumberReplaces,
    /// A signed statement in force that the bucket lacks is put there.
    PutBackStatements,
    /// A revocation list that was replaced is removed from the bucket.
    RemoveReplacedLists,
}

#[cfg(not(test))]
impl Rule {
    pub(crate) const fn holds(self) -> bool {
        let _ = self;
        true
    }
}

#[cfg(test)]
pub(crate) use leave_out::without;

#[cfg(test)]
mod leave_out {
    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        static LEFT_OUT: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    impl Rule {
        /// Every rule, in the order of the file.
        pub(crate) const ALL: [Self; 24] = [
            Self::TakeNews,
            Self::DeleteInNewBucket,
            Self::MissingMeansDeleted,
            Self::FillNewBucket,
            Self::OverwriteOnlyWhatWasSeen,
            Self::SendWhatWaits,
            Self::SendRepetitions,
            Self::SendDeletions,
            Self::NoteAgreement,
            Self::KnowWhatWasChanged,
            Self::KnowWhatWasFilledIn,
            Self::SayWhatWasPutAnew,
            Self::SayWhatIsInDoubt,
            Self::GiveWay,
            Self::LaterWins,
            Self::SayConflicts,
            Self::TellBucketsApart,
            Self::WrittenMeanwhileIsLater,
            Self::RememberDeletions,
            Self::RememberWhatWasChanged,
            Self::SendSideBySide,
            Self::HigherNumberReplaces,
            Self::PutBackStatements,
            Self::RemoveReplacedLists,
        ];

        pub(crate) fn holds(self) -> bool {
            LEFT_OUT.get() != Some(self)
        }
    }

    /// Does something on this thread while a rule does not hold.
    pub(crate) fn without<T>(rule: Rule, work: impl FnOnce() -> T) -> T {
        LEFT_OUT.set(Some(rule));
        let outcome = work();
        LEFT_OUT.set(None);
        outcome
    }
}
