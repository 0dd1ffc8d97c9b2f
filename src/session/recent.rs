//! The few hundred credentials that each thread has seen last, in front of the cache that all threads share: a look
//! costs a comparison instead of the bookkeeping of who was used when.
//!
//! Nothing is believed for being here: what is found is checked as what the shared cache holds.

use std::cell::RefCell;
use std::sync::Arc;

use crate::secret::Digest;
use crate::session::cache::Entry;

thread_local! {
    static PLACES: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// Which cache it belongs to, its name there, and what it is.
type Kept = (u64, Digest, Arc<Entry>);

/// What this thread saw under the name of late.
pub(super) fn find(cache: u64, name: &Digest) -> Option<Arc<Entry>> {
    PLACES.with_borrow(|places| match places.get(place(name))? {
        Some((of, kept, entry)) if *of == cache && kept == name => Some(entry.clone()),
        _ => None,
    })
}

/// Remembers it in place of another.
pub(super) fn keep(cache: u64, name: Digest, entry: &Arc<Entry>) {
    PLACES.with_borrow_mut(|places| {
        if places.is_empty() {
            places.resize_with(COUNT, || None);
        }
        if let Some(place) = places.get_mut(place(&name)) {
            *place = Some((cache, name, entry.clone()));
        }
    });
}

/// The bytes of a digest are as good as random.
fn place(name: &Digest) -> usize {
    usize::from(u16::from_le_bytes([name.as_bytes()[0], name.as_bytes()[1]])) % COUNT
}

/// Places of a thread; each holds on to one user.
const COUNT: usize = 4096;
