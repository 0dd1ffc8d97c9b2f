//! The few hundred credentials that each thread has seen last, in front of the cache that all threads share: a look
//! costs a comparison instead of the bookkeeping of who was used when.
//!
//! Nothing is believed for being here: what is found is checked as what the shared cache holds.

use std::cell::RefCell;
use std::sync::Arc;

use crate::secret::Digest;
use crate::session::cache::Entry;

thread_local! {
    static SETS: RefCell<Vec<Set>> = const { RefCell::new(Vec::new()) };
}

/// Those whose names have the same beginning, the latest first, by some more of the name: what of a look meets memory that
/// no cache of the processor holds is this one line and the entry.
#[derive(Default)]
#[repr(align(64))]
struct Set([Option<(u64, Arc<Entry>)>; WAYS]);

/// What this thread saw under the name of late.
pub(super) fn find(cache: u64, name: &Digest) -> Option<Arc<Entry>> {
    let (set, mark) = place(name);
    SETS.with_borrow(|sets| {
        let mut kept = sets.get(set)?.0.iter().flatten();
        kept.find(|(of, entry)| *of == mark && entry.is_named(cache, name)).map(|(_, entry)| entry.clone())
    })
}

/// Remembers it in place of an earlier one of this name, or of the one that was remembered first.
pub(super) fn keep(name: &Digest, entry: &Arc<Entry>) {
    let (set, mark) = place(name);
    SETS.with_borrow_mut(|sets| {
        if sets.is_empty() {
            sets.resize_with(COUNT, Set::default);
        }
        let Some(Set(kept)) = sets.get_mut(set) else { return };
        let same = |place: &Option<(u64, Arc<Entry>)>| place.as_ref().is_none_or(|(of, _)| *of == mark);
        let end = kept.iter().position(same).unwrap_or(WAYS - 1);
        kept[..=end].rotate_right(1);
        kept[0] = Some((mark, entry.clone()));
    });
}

/// The bytes of a digest are as good as random.
fn place(name: &Digest) -> (usize, u64) {
    let [first, second, rest @ ..] = name.as_bytes();
    let mark = rest.first_chunk().map_or(0, |mark| u64::from_le_bytes(*mark));
    (usize::from(u16::from_le_bytes([*first, *second])) % COUNT, mark)
}

/// Sets of a thread, and places of a set; each place holds on to one user.
const COUNT: usize = 1024;
const WAYS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Kind, User};
    use crate::clock::{Clock, Timestamp};
    use crate::id::UserId;
    use crate::session::Settings;
    use crate::session::cache::{Cache, Reading};
    use crate::session::vouched::Vouched;
    use crate::store;

    #[derive(Debug)]
    struct Anybody;

    impl Vouched for Anybody {
        fn provider(&self) -> &str {
            "custom-token"
        }

        fn expires_at(&self) -> Timestamp {
            Timestamp::from_millis(i64::MAX)
        }

        fn user(&self) -> store::Answer<'_, Option<User>> {
            Box::pin(async { Ok(None) })
        }
    }

    /// A name in the set that all of them share.
    fn name(number: u8) -> Digest {
        let mut bytes = [7; 32];
        bytes[9] = number;
        Digest::from_bytes(bytes)
    }

    fn put(cache: &Cache, name: Digest) -> Arc<Entry> {
        let user = User::new(UserId::generate(Timestamp::default()), Kind::User, Timestamp::default());
        cache.put(name, Entry::vouched(&Anybody, user, Reading { at: cache.now(), revocations: 0 }))
    }

    #[test]
    fn the_last_of_a_set_are_found_and_those_before_them_are_not() {
        let cache = Cache::new(&Settings::default(), Clock::system());
        let entries: Vec<_> = (0..6).map(|number| put(&cache, name(number))).collect();
        let number = entries[0].cache();
        entries.iter().zip(0..).for_each(|(entry, number)| keep(&name(number), entry));
        let found =
            |wanted: u8| find(number, &name(wanted)).map(|found| Arc::ptr_eq(&found, &entries[usize::from(wanted)]));
        assert_eq!([0, 1, 2, 3, 4, 5].map(found), [None, None, Some(true), Some(true), Some(true), Some(true)]);
        let renewed = put(&cache, name(3));
        keep(&name(3), &renewed);
        assert!(find(number, &name(3)).is_some_and(|found| Arc::ptr_eq(&found, &renewed)));
        assert_eq!([2, 4, 5].map(found), [Some(true); 3]);
    }

    #[test]
    fn what_looks_alike_is_not_taken_for_it() {
        let (one, other) =
            (Cache::new(&Settings::default(), Clock::system()), Cache::new(&Settings::default(), Clock::system()));
        let entry = put(&one, name(1));
        keep(&name(1), &entry);
        let mut alike = *name(1).as_bytes();
        alike[31] ^= 1;
        assert!(find(entry.cache(), &name(1)).is_some());
        assert!(find(entry.cache(), &Digest::from_bytes(alike)).is_none());
        assert!(find(put(&other, name(1)).cache(), &name(1)).is_none());
    }
}
