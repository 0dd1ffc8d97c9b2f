//! What instances on the same store leave for each other at a place where strangers may read and write.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::session::{Neighbours, Sessions, Turn};
use crate::tally::Tallies;

/// Holds documents of one kind and one owner. What is found there counts only with a MAC by a key that nobody but
/// instances on the same store has, over its name, its moment and its bytes: whoever has the place in his hands can
/// take documents away, and show one again while it is fresh, and no more.
///
/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Shelf {
    sessions: Sessions,
    neighbours: Arc<dyn Neighbours>,
    /// `<kind>\0<owner>`
    label: String,
}

/// What one instance has left.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// Its bytes, as they were left.
    pub document: Vec<u8>,
    /// How long ago, by the clock of whoever asks.
    pub age: Duration,
}

/// Makes and knows the seals of one signing key.
pub(super) struct Seals(hmac::Key);

/// The form of what lies there; another is of another version.
const VERSION: u8 = 1;
/// Version, moment, seal.
const HEAD: usize = 1 + MOMENT + SEAL;
const MOMENT: usize = 8;
const SEAL: usize = 32;
/// By how much another instance's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(10);
/// Longer documents are neither left nor read.
const LONGEST: usize = 1 << 20;

/// Places in the tallies.
const TAKEN: usize = 0;
const PUT: usize = 1;
const OLD: usize = 2;
const REFUSED: usize = 3;

impl Sessions {
    /// A shelf for documents of this kind and owner, neither of which holds a NUL. None without other instances.
    pub fn shelf(&self, kind: &str, owner: &str) -> Option<Shelf> {
        let neighbours = self.neighbours()?;
        Some(Shelf { sessions: self.clone(), neighbours, label: format!("{kind}\0{owner}") })
    }

    /// What became of documents so far: taken from other instances, left for them, found too old, and found although
    /// none of them has made it.
    pub fn shelved(&self) -> [(&'static str, u64); 4] {
        let (names, shelved) = (["taken", "left", "old", "refused"], &self.0.shelved);
        [TAKEN, PUT, OLD, REFUSED].map(|place| (names[place], shelved.count(place)))
    }
}

impl Shelf {
    /// The document of this name, if it was left within this span.
    pub async fn find(&self, name: &str, within: Duration) -> Option<Left> {
        let full = self.full(name);
        let found = self.neighbours.look_up(key(&full)).await?;
        let left = self.open(&full, &found).await;
        let (place, left) = match left {
            Some(left) if left.age < within => (TAKEN, Some(left)),
            Some(_) => (OLD, None),
            None => (REFUSED, None),
        };
        self.sessions.0.shelved.add(place, 1);
        left
    }

    /// Leaves a document under this name for so long.
    pub async fn leave(&self, name: &str, document: &[u8], keep: Duration) {
        let (inner, full) = (&self.sessions.0, self.full(name));
        let now = inner.clock.now();
        let sealed = inner.ring.seal(&statement(&full, now, document), now);
        let Some(seal) = sealed.filter(|_| document.len() <= LONGEST) else { return };
        let value = [&[VERSION][..], &now.millis().to_be_bytes(), &seal, document].concat();
        self.neighbours.put(key(&full), value, keep).await;
        inner.shelved.add(PUT, 1);
    }

    /// The right to make the document of this name anew, alone. None: nobody can be asked; then each makes its own.
    pub async fn turn(&self, name: &str) -> Option<Turn> {
        self.neighbours.turn(key(&self.full(name))).await
    }

    /// What lies there, if one of us has left it and not in the future.
    async fn open(&self, full: &str, found: &[u8]) -> Option<Left> {
        let now = self.sessions.0.clock.now();
        let (head, document) = found.split_at_checked(HEAD).filter(|(_, rest)| rest.len() <= LONGEST)?;
        let (version, head) = head.split_first()?;
        let (moment, seal) = head.split_at_checked(MOMENT)?;
        let left_at = Timestamp::from_millis(i64::from_be_bytes(moment.try_into().ok()?));
        let said = statement(full, left_at, document);
        if *version == VERSION && left_at <= now + AHEAD && self.is_sealed(&said, seal, now).await {
            return Some(Left { document: document.to_vec(), age: now.since(left_at) });
        }
        tracing::warn!(
            event = "shelf.refused",
            "a document in Redis is of none of the instances, or of one whose clock is ahead"
        );
        None
    }

    async fn is_sealed(&self, said: &[u8], seal: &[u8], now: Timestamp) -> bool {
        let inner = &self.sessions.0;
        // Another instance may have made a key meanwhile.
        inner.ring.is_sealed(said, seal, now)
            || inner.ring.look_again(inner.cache.now(), now).await.is_ok_and(|looked| looked)
                && inner.ring.is_sealed(said, seal, now)
    }

    fn full(&self, name: &str) -> String {
        format!("{}\0{name}", self.label)
    }
}

impl Seals {
    pub(super) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    pub(super) fn make(&self, said: &[u8]) -> [u8; SEAL] {
        let mut seal = [0; SEAL];
        seal.copy_from_slice(hmac::sign(&self.0, said).as_ref());
        seal
    }

    pub(super) fn knows(&self, said: &[u8], seal: &[u8]) -> bool {
        hmac::verify(&self.0, said, seal).is_ok()
    }
}

/// Counts what becomes of documents.
pub(super) fn tallies() -> Tallies {
    Tallies::new(4)
}

/// What a seal is over. The name comes with its length: no two of name, moment and document run together.
fn statement(full: &str, at: Timestamp, document: &[u8]) -> Vec<u8> {
    let length = u64::try_from(full.len()).unwrap_or(u64::MAX);
    [&length.to_be_bytes()[..], full.as_bytes(), &at.millis().to_be_bytes(), document].concat()
}

/// Of one length, whatever the name holds.
fn key(full: &str) -> String {
    Digest::of(full).as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
