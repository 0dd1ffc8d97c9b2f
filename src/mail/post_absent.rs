//! Stands for the post in a program that was built without it.

use std::path::Path;
use std::sync::Arc;

use super::letter::Words;
use super::{Error, Figures, Kind, Smtp};
use crate::account::email::Email;
use crate::clock::Timestamp;
use crate::language::Language;

/// There is none.
#[derive(Debug)]
pub(super) enum Desk {}

/// There is none.
#[derive(Debug)]
pub(super) enum Post {}

impl Desk {
    pub(super) fn new(_: Arc<Words>, _: Option<&str>, _: &str, _: &str) -> Result<Self, Error> {
        Err(Error::Absent)
    }
}

impl Post {
    pub(super) fn to_directory(desk: Desk, _: &Path) -> Result<Self, Error> {
        match desk {}
    }

    pub(super) fn to_server(desk: Desk, _: &Smtp) -> Result<Self, Error> {
        match desk {}
    }

    pub(super) fn take(&self, _: Email, _: Kind, _: Timestamp, _: Language) {
        match *self {}
    }

    pub(super) fn figures(&self) -> Figures {
        match *self {}
    }

    pub(super) async fn drain(&self) {
        match *self {}
    }
}
