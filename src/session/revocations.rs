use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::{SessionId, UserId};

/// Counts what was revoked or changed in this process, so that nothing read before counts after.
///
/// A reader notes the [`count`](Self::count) before it asks the store; what it read holds as long as its
/// subjects are not among those noted since. That covers reads under way as well as cached ones, and costs a
/// cached look-up one comparison when nothing happened.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    count: AtomicU64,
    recent: Mutex<Recent>,
}

/// Whom a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    User(UserId),
    Session(SessionId),
}

#[derive(Debug, Default)]
struct Recent {
    /// What was read at a lower count is void, whoever it is about.
    floor: u64,
    /// The count at which each was last revoked, since the floor.
    at: HashMap<Subject, u64>,
}

/// With more the table is emptied, and everybody is read from the store once.
const KEPT: usize = 4096;

impl Revocations {
    /// How many there were: take it before reading.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// From now on nothing counts that was read about this subject before.
    pub(super) fn note(&self, subject: Subject) {
        let mut recent = self.recent();
        let count = self.count.load(Ordering::Relaxed) + 1;
        if recent.at.len() >= KEPT {
            recent.at.clear();
            recent.floor = count;
        } else {
            recent.at.insert(subject, count);
        }
        self.count.store(count, Ordering::Release);
    }

    /// Whether what was read at this count still holds.
    pub(super) fn spare(&self, read_at: u64, user: UserId, session: Option<SessionId>) -> bool {
        if read_at == self.count() {
            return true;
        }
        let recent = self.recent();
        let holds = |subject| recent.at.get(&subject).is_none_or(|at| *at <= read_at);
        read_at >= recent.floor && holds(Subject::User(user)) && session.is_none_or(|id| holds(Subject::Session(id)))
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn user() -> UserId {
        UserId::generate(Timestamp::default())
    }

    #[test]
    fn what_was_read_before_a_revocation_is_void_for_its_subject_alone() {
        let revocations = Revocations::default();
        let (ann, bob) = (user(), user());
        let session = SessionId::generate(Timestamp::default());
        let before = revocations.count();
        revocations.note(Subject::User(ann));
        assert!(!revocations.spare(before, ann, None));
        assert!(revocations.spare(before, bob, Some(session)));
        assert!(revocations.spare(revocations.count(), ann, None));
        revocations.note(Subject::Session(session));
        assert!(!revocations.spare(before, bob, Some(session)));
        assert!(revocations.spare(before, bob, None));
    }

    #[test]
    fn a_full_table_spares_nobody() {
        let revocations = Revocations::default();
        let bob = user();
        let before = revocations.count();
        for _ in 0..=KEPT {
            revocations.note(Subject::User(user()));
        }
        assert!(!revocations.spare(before, bob, None));
        assert!(revocations.recent().at.len() <= KEPT);
        assert!(revocations.spare(revocations.count(), bob, None));
    }
}
