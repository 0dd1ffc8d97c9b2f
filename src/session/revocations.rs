use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

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
    waiting: Waiting,
}

/// Whom a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user with all its sessions and keys.
    User(UserId),
    /// One session.
    Session(SessionId),
}

#[derive(Debug, Default)]
struct Recent {
    /// What was read at a lower count is void, whoever it is about.
    floor: u64,
    /// The count at which each was last revoked, since the floor.
    at: HashMap<Subject, u64>,
}

/// Who waits for a revocation, by the last byte of its subject: a sign-in, which is noted too, does not wake
/// every open stream.
#[derive(Debug)]
struct Waiting([Notify; 256]);

impl Waiting {
    fn at(&self, subject: Subject) -> &Notify {
        let [.., last] = match subject {
            Subject::User(id) => *id.as_bytes(),
            Subject::Session(id) => *id.as_bytes(),
        };
        &self.0[usize::from(last)]
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Notify::new()))
    }
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
        drop(recent);
        self.waiting.at(subject).notify_waiters();
    }

    /// From now on nothing counts that was read before, whoever it is about. Those who wait are not woken: each of them
    /// asks the store again soon, and all at once would be a flood.
    pub(super) fn note_everything(&self) {
        let mut recent = self.recent();
        let count = self.count.load(Ordering::Relaxed) + 1;
        recent.at.clear();
        recent.floor = count;
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

    /// Waits until what was read at this count holds no more.
    pub(super) async fn revoked(&self, read_at: u64, user: UserId, session: Option<SessionId>) {
        let of_user = self.waiting.at(Subject::User(user));
        let of_session = session.map_or(of_user, |session| self.waiting.at(Subject::Session(session)));
        loop {
            // They count from here on: what is noted after the look is not missed.
            let (user_noted, session_noted) = (of_user.notified(), of_session.notified());
            if !self.spare(read_at, user, session) {
                return;
            }
            tokio::select! {
                () = user_noted => {}
                () = session_noted => {}
            }
        }
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
    fn after_a_gap_nobody_is_spared_who_was_read_before_it() {
        let revocations = Revocations::default();
        let bob = user();
        let before = revocations.count();
        assert!(revocations.spare(before, bob, None));
        revocations.note_everything();
        assert!(!revocations.spare(before, bob, None));
        assert!(revocations.spare(revocations.count(), bob, None));
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
