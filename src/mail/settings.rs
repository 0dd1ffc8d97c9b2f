use std::path::PathBuf;

use super::Sent;
use crate::language::Language;
use crate::own::Own;
use crate::secret::Secret;

/// `[mail]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Settings {
    /// The sender's address; needed for SMTP.
    pub from: Option<String>,
    /// `pages.languages`: mails are written in the one that whoever asked for them wants, else in the first.
    pub languages: Vec<Language>,
    /// Where mails go. Without any they are written to the log's terminal.
    pub outbox: Outbox,
}

/// Where mails go.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Outbox {
    /// Printed on standard error, for development.
    #[default]
    Terminal,
    /// Written as `.eml` files into this folder.
    Directory(PathBuf),
    /// Sent to a mail server.
    Smtp(Smtp),
    /// Kept in memory, for the demo and for tests.
    Memory,
    /// Handed to the program this library is in, which must not wait.
    Own(Own<Take>),
}

/// Takes a mail that is ready to go.
pub type Take = dyn Fn(Sent) + Send + Sync;

/// `mail.smtp`.
#[derive(Clone, Debug, PartialEq)]
pub struct Smtp {
    /// `smtps://host:465`, `smtp://host:587` (STARTTLS required), or `smtp://localhost:25`.
    pub url: String,
    /// The account there.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}
