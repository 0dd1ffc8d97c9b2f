use crate::account::audit::Event;
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};

/// What goes along with the save of a user, in the same transaction: all of it happens, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Along {
    /// Which of the user's sessions end.
    pub ends: Ends,
    /// What the log says about it.
    pub events: Vec<Event>,
}

/// Which of a user's sessions end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ends {
    /// None.
    #[default]
    None,
    /// All, but the one that is named.
    AllBut(Option<SessionId>),
    /// Those that were opened by the provider of this name.
    By(String),
}

impl Along {
    /// Nothing goes along.
    pub(super) const NOTHING: &'static Self = &Self { ends: Ends::None, events: Vec::new() };

    /// One event and no more.
    pub fn event(event: Event) -> Self {
        Self { ends: Ends::None, events: vec![event] }
    }

    /// Likewise, and these sessions end.
    #[must_use]
    pub fn ending(self, ends: Ends) -> Self {
        Self { ends, ..self }
    }
}

/// What a deed came to: of what was not done nothing is written down.
pub(super) trait Outcome {
    /// Whether it was done.
    fn is_done(&self) -> bool;
}

impl Outcome for () {
    fn is_done(&self) -> bool {
        true
    }
}

impl Outcome for bool {
    fn is_done(&self) -> bool {
        *self
    }
}

/// Those that ended.
impl Outcome for Vec<SessionId> {
    fn is_done(&self) -> bool {
        !self.is_empty()
    }
}

/// Tells the log of what was done, if it was.
pub(super) fn tell_if(done: bool, events: &[Event]) {
    if done {
        events.iter().for_each(Event::tell);
    }
}

/// Which entries of the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those about this user.
    pub subject: Option<UserId>,
    /// Only those from this moment on.
    pub since: Option<Timestamp>,
}
