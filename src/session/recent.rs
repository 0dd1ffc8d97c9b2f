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
