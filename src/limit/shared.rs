use std::pin::Pin;
use std::time::Duration;

use crate::limit::Rate;
use crate::secret::Digest;

/// Budgets that several instances count together. A local limit is asked first: what it refuses goes no further.
pub trait Shared: Send + Sync {
    /// Counts one for each of these budgets of a limit, in their order and up to the first that is used up.
    ///
    /// # Errors
    /// When one is used up: how long to wait until the next counts. Nobody is refused for want of an answer.
    fn count<'a>(&'a self, limit: &'static str, budgets: &'a [Budget]) -> Counting<'a>;

    /// The same, and one for the first of these rows that has room, all at once.
    ///
    /// # Errors
    /// [`Over`]; nobody is refused for want of an answer.
    fn count_try<'a>(&'a self, limit: &'static str, budgets: &'a [Budget], rows: &'a [Row]) -> CountingTry<'a>;

    /// Begins a row of this limit anew. Neither waits nor fails: what cannot be done now is done as soon as it can.
    fn forget(&self, limit: &'static str, owner: Digest);
}

/// Why a try may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A budget is used up: so long until the next counts.
    Budget(Duration),
    /// None of the rows has room.
    Rows,
}

/// Failures in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose, the same on every instance.
    pub owner: Digest,
    /// How many there may be.
    pub most: u32,
}

/// What was counted of a try, some time later.
pub type CountingTry<'a> = Pin<Box<dyn Future<Output = Result<(), Over>> + Send + 'a>>;

/// What was counted, some time later.
pub type Counting<'a> = Pin<Box<dyn Future<Output = Result<(), Duration>> + Send + 'a>>;

/// One budget: whose, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Whose, the same on every instance: the digest of an address, a network or the name of an account.
    pub owner: Digest,
    /// How much.
    pub rate: Rate,
}
