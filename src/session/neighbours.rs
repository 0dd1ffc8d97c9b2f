use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::session::Subject;
use crate::session::sessions::{Inner, Sessions};

/// The way to the other instances on the same store: told at once of what ends or changes here, they need not wait
/// until they ask the store again.
pub trait Neighbours: std::fmt::Debug + Send + Sync {
    /// Tells them about this subject. Neither waits nor fails: who cannot be told asks the store within
    /// [`Settings::cache`](crate::session::Settings).
    fn tell(&self, subject: Subject);

    /// Waits for a turn at something that only one instance is to do at a time. None: nobody can be asked, or they
    /// take too long; then each does it by itself.
    fn turn(&self, what: String) -> TakingTurn<'_>;

    /// What lies under this key where all can reach it. Whoever reaches it may have put it there: see
    /// [`Shelf`](crate::session::Shelf).
    fn look_up(&self, key: String) -> Finding<'_>;

    /// Puts something there for so long. Who cannot does nothing.
    fn put(&self, key: String, value: Vec<u8>, keep: Duration) -> Putting<'_>;
}

/// What lay there, some time later; none, too, when nobody can be asked.
pub type Finding<'a> = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>>;

/// It lies there.
pub type Putting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A turn, some time later.
pub type TakingTurn<'a> = Pin<Box<dyn Future<Output = Option<Turn>> + Send + 'a>>;

/// The right to do something alone among instances. It ends by itself after a while, at once by [`end`](Self::end).
pub struct Turn(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Turn {
    /// A turn that is given back like this.
    pub fn new(end: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        Self(end)
    }

    /// Lets the next one.
    pub async fn end(self) {
        self.0.await;
    }
}

/// Where [`Sessions`] hear what ended elsewhere. Holds on to nothing: `false` means that they are gone.
#[derive(Clone)]
pub struct Ear(Weak<Inner>);

impl Ear {
    /// Nothing counts any more that was read about this subject before, and its open streams are looked at.
    pub fn hear(&self, subject: Subject) -> bool {
        self.with(|inner| inner.cache.revocations.note(subject))
    }

    /// Something was missed, nobody knows what: everybody is read from the store once.
    pub fn miss(&self) -> bool {
        self.with(|inner| inner.cache.revocations.note_everything())
    }

    fn with(&self, act: impl FnOnce(&Inner)) -> bool {
        self.0.upgrade().is_some_and(|inner| {
            act(&inner);
            true
        })
    }
}

impl Sessions {
    /// From now on these are told what ends or changes here. The first who are named stay.
    pub fn announce_to(&self, neighbours: Arc<dyn Neighbours>) {
        let _ = self.0.neighbours.set(neighbours);
    }

    /// The other instances, if there can be any.
    pub fn neighbours(&self) -> Option<Arc<dyn Neighbours>> {
        self.0.neighbours.get().cloned()
    }

    /// Where to tell what ends or changes elsewhere.
    pub fn ear(&self) -> Ear {
        Ear(Arc::downgrade(&self.0))
    }
}

impl Inner {
    /// Takes effect here at once, and elsewhere as soon as the others hear of it. To be called after the store has it.
    pub(super) fn revoke(&self, subject: Subject) {
        self.cache.revocations.note(subject);
        if let Some(neighbours) = self.neighbours.get() {
            neighbours.tell(subject);
        }
    }
}
