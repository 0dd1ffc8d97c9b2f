//! What instances tell each other: whom to read from the store again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::link::{Answer, Link, State};
use super::{Numbers, Settings, connect};
use crate::secret;
use crate::session::{Ear, Subject};

/// What waits to be told, and who listens here.
#[derive(Default)]
pub(super) struct Outgoing {
    waiting: Mutex<Waiting>,
    there: Notify,
    ears: Mutex<Vec<Ear>>,
}

#[derive(Default)]
struct Waiting {
    subjects: Vec<Subject>,
    /// More than is kept was to be told: the others read everybody again.
    everybody: bool,
}

/// What one instance says in one message: `1 <who> <number> <subjects>`, where a subject is `u` or `s` and an id, or
/// `*` for everybody.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    from: String,
    /// Counts up by one: who misses a number has missed a message.
    number: u64,
    subjects: Vec<Subject>,
    everybody: bool,
}

/// Of the messages of the others the last numbers.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Our own messages come back, too.
    own: String,
    numbers: HashMap<String, u64>,
}

/// What waits while Redis is away, at most.
const KEPT: usize = 4096;
/// Subjects of one message.
const BATCH: usize = 256;
/// Instances whose numbers are remembered.
const INSTANCES: usize = 4096;
/// The form of messages; another is of a later version.
const VERSION: &str = "1";

impl Outgoing {
    /// Will be told as soon as somebody can be.
    pub(super) fn add(&self, subject: Subject) {
        let mut waiting = self.waiting();
        if waiting.subjects.len() >= KEPT {
            waiting.subjects.clear();
            waiting.everybody = true;
        }
        if !waiting.everybody && !waiting.subjects.contains_recent(subject) {
            waiting.subjects.push(subject);
        }
        drop(waiting);
        self.there.notify_one();
    }

    /// Listens, too.
    pub(super) fn add_ear(&self, ear: Ear) {
        self.ears().push(ear);
    }

    /// Tells everybody here that something was missed.
    pub(super) fn miss(&self, numbers: &Numbers) {
        numbers.add_missed();
        self.ears().retain(Ear::miss);
    }

    /// Takes a message of another instance to heart.
    pub(super) fn hear(&self, text: &str, incoming: &mut Incoming, numbers: &Numbers) {
        match Message::parse(text) {
            Some(message) if message.from == incoming.own => {}
            Some(message) => {
                let complete = incoming.follows(&message);
                for subject in &message.subjects {
                    numbers.add_seen();
                    self.ears().retain(|ear| ear.hear(*subject));
                }
                if message.everybody || !complete {
                    self.miss(numbers);
                }
            }
            // Of a later version, perhaps: whom it is about cannot be known.
            None => self.miss(numbers),
        }
    }

    /// Tells the others what waits, one message after the other, whenever Redis is there.
    pub(super) async fn send(&self, link: &Link, own: &str) {
        let mut state = link.state();
        let mut number = 0;
        loop {
            let (subjects, everybody) = self.take();
            if subjects.is_empty() && !everybody {
                self.there.notified().await;
                continue;
            }
            number += 1;
            let message = Message { from: own.to_owned(), number, subjects, everybody };
            let mut command = redis::cmd("PUBLISH");
            command.arg(channel(link.settings())).arg(message.to_string());
            loop {
                if state.wait_for(|state| *state == State::Up).await.is_err() {
                    return;
                }
                // Once too often does no harm, so it is tried until it is answered.
                if let Answer::Is(_) = link.ask::<u64>(&command).await {
                    link.numbers().add_sent(message.subjects.len());
                    break;
                }
            }
        }
    }

    fn take(&self) -> (Vec<Subject>, bool) {
        let mut waiting = self.waiting();
        let count = waiting.subjects.len().min(BATCH);
        (waiting.subjects.drain(..count).collect(), std::mem::take(&mut waiting.everybody))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ears(&self) -> MutexGuard<'_, Vec<Ear>> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Incoming {
    /// Knows nobody yet; `own` is the name of this instance.
    pub(super) fn new(own: &str) -> Self {
        Self { own: own.to_owned(), numbers: HashMap::new() }
    }

    /// Whether nothing is missing before this message. Of who was never heard, nothing is.
    fn follows(&mut self, message: &Message) -> bool {
        if self.numbers.len() >= INSTANCES {
            self.numbers.clear();
        }
        match self.numbers.insert(message.from.clone(), message.number) {
            None => true,
            Some(last) => message.number <= last + 1,
        }
    }
}

impl Message {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let (from, number) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let mut message = Self { from, number, subjects: Vec::new(), everybody: false };
        for word in words {
            match word.split_at_checked(1)? {
                ("*", "") => message.everybody = true,
                ("u", id) => message.subjects.push(Subject::User(id.parse().ok()?)),
                ("s", id) => message.subjects.push(Subject::Session(id.parse().ok()?)),
                _ => return None,
            }
        }
        Some(message)
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{VERSION} {} {}", self.from, self.number)?;
        for subject in &self.subjects {
            match subject {
                Subject::User(id) => write!(f, " u{id}")?,
                Subject::Session(id) => write!(f, " s{id}")?,
            }
        }
        if self.everybody { f.write_str(" *") } else { Ok(()) }
    }
}

/// Tells running instances about these, once, from a process that is none. `false`: Redis is away.
pub async fn tell_once(settings: &Settings, subjects: &[Subject]) -> bool {
    let told = async {
        let mut connection = connect::one(settings).await?;
        let everybody = subjects.len() > BATCH;
        let subjects = if everybody { Vec::new() } else { subjects.to_vec() };
        let message = Message { from: instance(), number: 1, subjects, everybody };
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel(settings)).arg(message.to_string());
        connection.ask(&command, settings.timeout).await
    };
    let limit = settings.connect_timeout + settings.timeout;
    matches!(timeout(limit, told).await, Ok(Ok(_)))
}

/// A name for this process that no other has.
pub(super) fn instance() -> String {
    secret::random::<8>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where all say what ends.
pub(super) fn channel(settings: &Settings) -> String {
    format!("{}:revoked", settings.name)
}

trait Recent {
    fn contains_recent(&self, subject: Subject) -> bool;
}

impl Recent for Vec<Subject> {
    /// Whether it was the last but few: one deed often revokes the same several times.
    fn contains_recent(&self, subject: Subject) -> bool {
        self.iter().rev().take(4).any(|waiting| *waiting == subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{SessionId, UserId};

    fn message(number: u64) -> Message {
        Message { from: "ab12".to_owned(), number, subjects: Vec::new(), everybody: false }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let subjects = vec![
            Subject::User(UserId::generate(Timestamp::default())),
            Subject::Session(SessionId::generate(Timestamp::default())),
        ];
        let message = Message { subjects, everybody: true, ..message(7) };
        assert_eq!(Message::parse(&message.to_string()), Some(message));
        assert_eq!(Message::parse("1 ab12 7"), Some(self::message(7)));
    }

    #[test]
    fn what_is_none_of_ours_is_not_half_read() {
        for text in ["", "2 ab12 7", "1 ab12", "1 ab12 x", "1 ab12 7 u12", "1 ab12 7 *x", "1 ab12 7 é", "1 ab12 7 "] {
            assert_eq!(Message::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_missing_number_is_noticed_and_a_repeated_one_is_none() {
        let mut incoming = Incoming::new("own");
        let heard: Vec<_> = [5, 6, 6, 8, 9, 3].map(|number| incoming.follows(&message(number))).into();
        assert_eq!(heard, [true, true, true, false, true, true]);
    }

    #[test]
    fn more_than_is_kept_becomes_everybody() {
        let outgoing = Outgoing::default();
        for _ in 0..KEPT {
            outgoing.add(Subject::User(UserId::generate(Timestamp::default())));
        }
        assert!(!outgoing.waiting().everybody);
        outgoing.add(Subject::User(UserId::generate(Timestamp::default())));
        assert_eq!(outgoing.take(), (Vec::new(), true));
        assert_eq!(outgoing.take(), (Vec::new(), false));
    }
}
