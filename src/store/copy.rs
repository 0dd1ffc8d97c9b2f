//! Moves everything a store holds to another one, row by row, and looks at each row again where it has arrived.
//!
//! May be broken off and run again: what is there and equal is passed over. What is there and differs stops it, and so
//! does a user in the target whom the source does not know: the target is somebody else's.

use futures_util::future::try_join_all;

use super::{AuditFilter, Error, Store};
use crate::account::User;
use crate::account::audit::Entry;

/// So many rows are read at once, and written side by side, which lets a store write them together.
const PAGE: usize = 200;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows that were not there.
    pub added: usize,
    /// Rows that were there and equal.
    pub found: usize,
}

/// Why a copy was broken off. What has arrived until then stays.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the stores.
    #[error(transparent)]
    Store(#[from] Error),
    /// The target holds a user of its own.
    #[error("the target holds the user {0}, whom the source does not know")]
    Foreign(String),
    /// A row is there, and differs.
    #[error("the target holds {0} already, and it differs")]
    Differs(String),
}

impl Copied {
    fn note(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Added => self.added += 1,
                Outcome::Found => self.found += 1,
            }
        }
    }
}

/// Copies users, sessions, keys, links, signing keys and the audit log. Nobody may write to either store meanwhile.
///
/// # Errors
/// [`CopyError`].
pub async fn copy(from: &dyn Store, to: &dyn Store) -> Result<Copied, CopyError> {
    expect_no_strangers(from, to).await?;
    let mut copied = Copied::default();
    users(from, to, &mut copied).await?;
    sessions(from, to, &mut copied).await?;
    keys(from, to, &mut copied).await?;
    links(from, to, &mut copied).await?;
    signing_keys(from, to, &mut copied).await?;
    audit(from, to, &mut copied).await?;
    Ok(copied)
}

enum Outcome {
    Added,
    Found,
}

/// What a row is after it was written: equal, or a reason to stop.
fn arrived<T: PartialEq>(there: Option<T>, row: &T, name: impl FnOnce() -> String) -> Result<(), CopyError> {
    if there.as_ref() == Some(row) { Ok(()) } else { Err(CopyError::Differs(name())) }
}

async fn expect_no_strangers(from: &dyn Store, to: &dyn Store) -> Result<(), CopyError> {
    let mut after = None;
    loop {
        let page = to.users(after, PAGE).await?;
        for known in try_join_all(page.iter().map(|user| from.user(user.id))).await?.iter().zip(&page) {
            if let (None, stranger) = known {
                return Err(CopyError::Foreign(stranger.id.to_string()));
            }
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

async fn users(from: &dyn Store, to: &dyn Store, copied: &mut Copied) -> Result<(), CopyError> {
    let mut after = None;
    loop {
        let page = from.users(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        copied.note(try_join_all(page.iter().map(|user| copy_user(to, user))).await?);
    }
}

async fn copy_user(to: &dyn Store, user: &User) -> Result<Outcome, CopyError> {
    let outcome = if to.import_user(user).await? { Outcome::Added } else { Outcome::Found };
    arrived(to.user(user.id).await?, user, || format!("the user {}", user.id))?;
    Ok(outcome)
}

async fn sessions(from: &dyn Store, to: &dyn Store, copied: &mut Copied) -> Result<(), CopyError> {
    let mut after = None;
    loop {
        let page = from.sessions(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        copied.note(
            try_join_all(page.iter().map(async |session| {
                let name = || format!("the session {}", session.id);
                let there = to.session(session.id).await?.map(|(there, _)| there);
                let outcome = match there {
                    Some(there) => arrived(Some(there), session, name).map(|()| Outcome::Found)?,
                    None => {
                        to.add_session(session, usize::MAX).await?;
                        arrived(to.session(session.id).await?.map(|(there, _)| there), session, name)?;
                        Outcome::Added
                    }
                };
                // With the session, for it is no row that anybody looks for by itself.
                if let Some(kept) = from.provider_session(session.id).await? {
                    if to.provider_session(session.id).await?.is_none() {
                        to.save_provider_session(&kept).await?;
                    }
                    let there = to.provider_session(session.id).await?;
                    arrived(there, &kept, || format!("what a provider gave with the session {}", session.id))?;
                }
                Ok::<_, CopyError>(outcome)
            }))
            .await?,
        );
    }
}

async fn keys(from: &dyn Store, to: &dyn Store, copied: &mut Copied) -> Result<(), CopyError> {
    for page in from.keys(None).await?.chunks(PAGE) {
        copied.note(
            try_join_all(page.iter().map(async |key| {
                let mut outcome = Outcome::Found;
                if to.key(key.id).await?.is_none() {
                    to.add_key(key, usize::MAX).await?;
                    outcome = Outcome::Added;
                }
                arrived(to.key(key.id).await?.map(|(there, _)| there), key, || format!("the key {}", key.id))?;
                Ok::<_, CopyError>(outcome)
            }))
            .await?,
        );
    }
    Ok(())
}

/// One after the other: their order is part of what they say.
async fn links(from: &dyn Store, to: &dyn Store, copied: &mut Copied) -> Result<(), CopyError> {
    let (mut source, mut target) = (0, 0);
    loop {
        let page = from.every_one_time(source, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        source = *last;
        for (_, link) in &page {
            // What was copied before comes in the same order.
            let next = to.every_one_time(target, 1).await?.pop();
            let name = || format!("a link for {} of {}", link.purpose.as_str(), link.token.short());
            match next {
                Some((number, there)) => {
                    arrived(Some(there), link, name)?;
                    target = number;
                    copied.found += 1;
                }
                None => {
                    to.add_one_time(link).await?;
                    let there = to.every_one_time(target, 1).await?.pop();
                    target = there.as_ref().map_or(target, |(number, _)| *number);
                    arrived(there.map(|(_, there)| there), link, name)?;
                    copied.added += 1;
                }
            }
        }
    }
    match to.every_one_time(target, 1).await?.pop() {
        Some((_, stranger)) => Err(CopyError::Differs(format!("a link more, for {}", stranger.purpose.as_str()))),
        None => Ok(()),
    }
}

async fn signing_keys(from: &dyn Store, to: &dyn Store, copied: &mut Copied) -> Result<(), CopyError> {
    let (mut ours, mut there) = (from.signing_keys().await?, to.signing_keys().await?);
    ours.reverse();
    there.reverse();
    let mut newest = None;
    for (at, key) in ours.iter().enumerate() {
        let name = || format!("the signing key {}", key.kid);
        if let Some(there) = there.get(at) {
            arrived(Some(there), &key, name)?;
            copied.found += 1;
        } else {
            let added = to.add_signing_key(key, newest).await?;
            let there = to.signing_keys().await?.into_iter().next();
            arrived(there.filter(|_| added), key, name)?;
            copied.added += 1;
        }
        newest = Some(key.kid.as_str());
    }
    match there.get(ours.len()) {
        Some(stranger) => Err(CopyError::Differs(format!("the signing key {}", stranger.kid))),
        None => Ok(()),
    }
}

/// Page by page: what is there already comes first and in the same order.
async fn audit(from: &dyn Store, to: &dyn Store, copied: &mut Copied) -> Result<(), CopyError> {
    let (mut source, mut target) = (None, None);
    let page = async |store: &dyn Store, after, limit| store.audit(AuditFilter::default(), after, limit).await;
    loop {
        let entries = page(from, source, PAGE).await?;
        let before = page(to, target, entries.len().max(1)).await?;
        let name = || "an entry of the audit log".to_owned();
        let Some(last) = entries.last() else {
            return if before.is_empty() { Ok(()) } else { Err(CopyError::Differs(name())) };
        };
        source = Some(last.sequence);
        let missing: Vec<_> = entries.iter().skip(before.len()).map(|entry| entry.event.clone()).collect();
        copied.found += before.len();
        copied.added += missing.len();
        if !missing.is_empty() {
            to.add_audit(&missing).await?;
        }
        // Their numbers are each store's own.
        let there = page(to, target, entries.len()).await?;
        target = there.last().map(|entry| entry.sequence).or(target);
        let events = |entries: &[Entry]| entries.iter().map(|entry| entry.event.clone()).collect::<Vec<_>>();
        arrived(Some(events(&there)), &events(&entries), name)?;
    }
}
