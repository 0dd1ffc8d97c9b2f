//! Mails: what they say, and the ways they leave.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::account::email::Email;
use crate::clock::{Clock, Timestamp};
use crate::language::Language;
use crate::own::Own;
use crate::public_url::PublicUrl;
use crate::visitor::Visitor;

#[cfg(feature = "smtp")]
mod directory;
mod kind;
mod letter;
#[cfg(feature = "smtp")]
mod message;
#[cfg_attr(not(feature = "smtp"), path = "post_absent.rs")]
mod post;
mod settings;
#[cfg(feature = "smtp")]
mod smtp;

pub use kind::{Kind, Link};
pub use settings::{Outbox, Settings, Smtp, Take};

use letter::Words;
use post::{Desk, Post};

/// Takes mails and sends them in its own time.
///
/// Clones share one queue in memory: a mail that is not sent when the process ends is lost, and asked for again.
#[derive(Clone, Debug)]
pub struct Mailer {
    words: Arc<Words>,
    clock: Clock,
    way: Way,
}

/// A mail as it leaves: what [`Outbox::Memory`] keeps and [`Outbox::Own`] is handed.
#[derive(Clone)]
pub struct Sent {
    /// When it was queued.
    pub at: Timestamp,
    /// Its one recipient.
    pub to: String,
    /// The name of its kind, for instance `reset`.
    pub kind: &'static str,
    /// Its subject.
    pub subject: String,
    /// Its plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// What became of mails since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Not left yet.
    pub waiting: usize,
    /// Left: the server or the folder has them.
    pub sent: u64,
    /// Given up; the log says why.
    pub failed: u64,
}

/// Why no mailer can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sender's address is missing or none.
    #[error("mail.from: not a sender's address such as \"Blog <blog@example.com>\"")]
    From,
    /// The mail server's address is none.
    #[error("mail.smtp.url: not an address such as smtps://mail.example.com:465 or smtp://mail.example.com:587")]
    SmtpUrl,
    /// The connection to the mail server cannot be secured.
    #[error("mail.smtp: TLS cannot be set up: {0}")]
    Tls(String),
    /// The folder for mails cannot be made.
    #[error("mail.directory: {}: {source}", path.display())]
    Directory {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// This program was built without what sends and writes mails.
    #[error("mail: this program was built without the feature `smtp`, and so hands mails to its own mailer alone")]
    Absent,
    /// No thread for mails could be started.
    #[error("no thread for mails could be started: {0}")]
    Thread(std::io::Error),
    /// A mail's words cannot be read.
    #[error("a mail's template cannot be read: {0}")]
    Template(#[from] minijinja::Error),
}

#[derive(Clone, Debug)]
enum Way {
    Terminal,
    Memory(Arc<Mutex<VecDeque<Sent>>>),
    Own(Own<Take>),
    Post(Arc<Post>),
}

impl Mailer {
    /// Makes one; `site` is what mails call the site. Nothing is sent and no server is reached yet.
    ///
    /// # Errors
    /// [`Error`] when the settings lead nowhere.
    pub fn new(settings: &Settings, site: &str, public_url: &PublicUrl, clock: Clock) -> Result<Self, Error> {
        let words = Arc::new(Words::new(site, public_url.origin(), &settings.languages)?);
        let desk = || Desk::new(Arc::clone(&words), settings.from.as_deref(), site, public_url.host());
        let way = match &settings.outbox {
            Outbox::Terminal => Way::Terminal,
            Outbox::Memory => Way::Memory(Arc::default()),
            Outbox::Own(own) => Way::Own(own.clone()),
            Outbox::Directory(path) => Way::Post(Arc::new(Post::to_directory(desk()?, path)?)),
            Outbox::Smtp(smtp) => {
                // A server refuses made-up senders, so there is no default.
                settings.from.as_ref().ok_or(Error::From)?;
                Way::Post(Arc::new(Post::to_server(desk()?, smtp)?))
            }
        };
        Ok(Self { words, clock, way })
    }

    /// Takes a mail to one recipient, in the language of the visitor this task works for. Never waits and never fails:
    /// whoever asked for the mail must not learn from the answer or its time whether there was one. What goes wrong is
    /// in the log.
    pub fn queue(&self, to: &Email, kind: Kind) {
        let at = self.clock.now();
        let visitor = Visitor::current();
        let language = self.words.language(visitor.as_ref().map_or("", |visitor| &visitor.languages));
        match &self.way {
            Way::Post(post) => post.take(to.clone(), kind, at, language),
            Way::Terminal => match self.words.write(&kind, language) {
                Ok(letter) => eprintln!("\nTo: {to}\nSubject: {}\n\n{}", letter.subject, letter.text),
                Err(error) => unwritten(&kind, &error),
            },
            Way::Memory(sent) => {
                let Some(mail) = self.written(to, &kind, at, language) else { return };
                let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                if sent.len() == KEPT {
                    sent.pop_front();
                }
                sent.push_back(mail);
            }
            Way::Own(take) => {
                if let Some(mail) = self.written(to, &kind, at, language) {
                    take(mail);
                }
            }
        }
    }

    fn written(&self, to: &Email, kind: &Kind, at: Timestamp, language: Language) -> Option<Sent> {
        let letter = self.words.write(kind, language).map_err(|error| unwritten(kind, &error)).ok()?;
        let (to, kind) = (to.to_string(), kind.as_str());
        Some(Sent { at, to, kind, subject: letter.subject, text: letter.text, html: letter.html })
    }

    /// What [`Outbox::Memory`] kept, oldest first; the other ways keep nothing.
    pub fn sent(&self) -> Vec<Sent> {
        match &self.way {
            Way::Memory(sent) => sent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect(),
            Way::Terminal | Way::Own(_) | Way::Post(_) => Vec::new(),
        }
    }

    /// How many mails wait, left and did not; nothing where none is sent.
    pub fn figures(&self) -> Option<Figures> {
        match &self.way {
            Way::Post(post) => Some(post.figures()),
            Way::Terminal | Way::Memory(_) | Way::Own(_) => None,
        }
    }

    /// Waits until every mail that was queued has left or failed.
    pub async fn drain(&self) {
        if let Way::Post(post) = &self.way {
            post.drain().await;
        }
    }
}

impl fmt::Debug for Sent {
    // Texts hold links and codes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("kind", &self.kind).field("to", &self.to).finish_non_exhaustive()
    }
}

fn unwritten(kind: &Kind, error: &minijinja::Error) {
    tracing::error!(event = "mail.failed", kind = kind.as_str(), %error, "a mail could not be written");
}

/// Mails kept in memory; the oldest give way.
const KEPT: usize = 500;

#[cfg(test)]
mod tests;
