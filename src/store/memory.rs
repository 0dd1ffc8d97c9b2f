//! The store that forgets: everything in one process, gone with it.

use std::sync::{Mutex, PoisonError};

use super::along::{Outcome, tell_if};
use super::memory_state::State;
use super::{Along, Answer, AtProvider, AuditFilter, Error, Rotated, Saved, SigningKey, Store, Use};
use crate::account::api_key::ApiKey;
use crate::account::audit::{Entry, Event};
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Kind, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::Digest;
use crate::session::{ProviderSession, Session};

/// A store in memory; every deed holds its one lock for as long as it takes, which is never across an await.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<State>);

impl Memory {
    fn with<'a, T: Send>(&'a self, deed: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'a) -> Answer<'a, T> {
        Box::pin(async move {
            match self.0.lock() {
                Ok(mut state) => deed(&mut state),
                // Somebody panicked halfway through a deed.
                Err(PoisonError { .. }) => Err(Error::Corrupt("a write was broken off".into())),
            }
        })
    }
}

impl Memory {
    /// Does something, and writes these events if it was done.
    fn noting<'a, T: Outcome + Send>(
        &'a self,
        events: &'a [Event],
        deed: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'a,
    ) -> Answer<'a, T> {
        self.with(move |state| {
            let outcome = deed(state)?;
            if outcome.is_done() {
                state.add_audit(events);
                tell_if(true, events);
            }
            Ok(outcome)
        })
    }
}

impl Store for Memory {
    fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        self.with(move |state| Ok(state.users.get(&id).cloned()))
    }

    fn user_by_identity<'a>(
        &'a self,
        provider: &'a str,
        issuer: &'a str,
        subject: &'a str,
    ) -> Answer<'a, Option<User>> {
        let name = (provider.to_owned(), issuer.to_owned(), subject.to_owned());
        self.with(move |state| Ok(state.identities.get(&name).and_then(|id| state.users.get(id)).cloned()))
    }

    fn user_by_email<'a>(&'a self, email_key: &'a str) -> Answer<'a, Option<User>> {
        self.with(move |state| Ok(state.emails.get(email_key).and_then(|id| state.users.get(id)).cloned()))
    }

    fn users(&self, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<User>> {
        self.with(move |state| {
            let users = state.users.values().filter(|user| after.is_none_or(|after| user.id > after));
            Ok(users.take(limit).cloned().collect())
        })
    }

    fn save_user_with<'a>(&'a self, user: &'a User, along: &'a Along) -> Answer<'a, Saved> {
        self.with(move |state| {
            let saved = state.save_user_with(user, along)?;
            tell_if(saved == Saved::Done, &along.events);
            Ok(saved)
        })
    }

    fn import_user<'a>(&'a self, user: &'a User) -> Answer<'a, bool> {
        self.with(move |state| state.import_user(user))
    }

    fn delete_user_with<'a>(&'a self, id: UserId, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |state| Ok(state.delete_user(id)))
    }

    fn merge_users<'a>(&'a self, into: &'a User, from: &'a User, along: &'a Along) -> Answer<'a, Saved> {
        self.with(move |state| {
            let saved = state.merge_users(into, from, along)?;
            tell_if(saved == Saved::Done, &along.events);
            Ok(saved)
        })
    }

    fn add_audit<'a>(&'a self, events: &'a [Event]) -> Answer<'a, ()> {
        self.noting(events, |_| Ok(()))
    }

    fn audit(&self, filter: AuditFilter, after: Option<u64>, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.with(move |state| {
            let meant = |entry: &&Entry| {
                after.is_none_or(|after| entry.sequence > after)
                    && filter.subject.is_none_or(|subject| entry.event.subject == Some(subject))
                    && filter.since.is_none_or(|since| entry.event.at >= since)
            };
            Ok(state.audit.iter().filter(meant).take(limit).cloned().collect())
        })
    }

    fn sweep_audit(&self, before: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.with(move |state| {
            let mut swept = 0;
            state.audit.retain(|entry| {
                let goes = entry.event.at < before && swept < limit;
                swept += usize::from(goes);
                !goes
            });
            Ok(swept)
        })
    }

    fn sweep_guests(&self, before: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.with(move |state| {
            let idle = state.idle_guests(before, limit);
            idle.iter().for_each(|id| {
                state.delete_user(*id);
            });
            Ok(idle.len())
        })
    }

    fn add_session_with<'a>(
        &'a self,
        session: &'a Session,
        max_per_user: usize,
        events: &'a [Event],
    ) -> Answer<'a, ()> {
        self.noting(events, move |state| state.add_session(session, max_per_user))
    }

    fn session_by_token(&self, token: Digest) -> Answer<'_, Option<(Session, User)>> {
        self.with(move |state| Ok(state.tokens.get(&token).and_then(|id| state.session(*id))))
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<(Session, User)>> {
        self.with(move |state| Ok(state.session(id)))
    }

    fn sessions_of(&self, user: UserId) -> Answer<'_, Vec<Session>> {
        self.with(move |state| Ok(state.sessions_of(user)))
    }

    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Answer<'_, Vec<Session>> {
        self.with(move |state| {
            let sessions = state.sessions.values().filter(|session| after.is_none_or(|after| session.id > after));
            Ok(sessions.take(limit).cloned().collect())
        })
    }

    fn touch_sessions(&self, uses: Vec<Use>) -> Answer<'_, ()> {
        self.with(move |state| {
            for used in uses {
                if let Some(session) = state.sessions.get_mut(&used.session).filter(|session| session.is_live(used.at))
                {
                    session.last_seen_at = session.last_seen_at.max(used.at);
                    session.idle_expires_at = session.idle_expires_at.max(used.idle_expires_at);
                }
            }
            Ok(())
        })
    }

    fn rotate_token(
        &self,
        old: Digest,
        new: Digest,
        now: Timestamp,
        idle_expires_at: Timestamp,
    ) -> Answer<'_, Rotated> {
        self.with(move |state| state.rotate_token(old, new, now, idle_expires_at))
    }

    fn end_session_with<'a>(&'a self, id: SessionId, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |state| Ok(state.end_session(id)))
    }

    fn end_sessions_of_with<'a>(
        &'a self,
        user: UserId,
        except: Option<SessionId>,
        events: &'a [Event],
    ) -> Answer<'a, Vec<SessionId>> {
        self.noting(events, move |state| {
            let mut ended: Vec<SessionId> = state.sessions_of(user).iter().map(|session| session.id).collect();
            ended.retain(|id| Some(*id) != except && state.end_session(*id));
            Ok(ended)
        })
    }

    fn save_provider_session<'a>(&'a self, saved: &'a ProviderSession) -> Answer<'a, ()> {
        self.with(move |state| {
            if !state.sessions.contains_key(&saved.session) {
                return Err(Error::Conflict("its session is gone".into()));
            }
            state.provider_sessions.insert(saved.session, saved.clone());
            Ok(())
        })
    }

    fn provider_session(&self, id: SessionId) -> Answer<'_, Option<ProviderSession>> {
        self.with(move |state| Ok(state.provider_sessions.get(&id).cloned()))
    }

    fn sessions_at_provider<'a>(&'a self, named: &'a AtProvider) -> Answer<'a, Vec<SessionId>> {
        self.with(move |state| {
            let meant = |kept: &&ProviderSession| {
                let (subject, sid) = (&named.subject, &named.sid);
                kept.provider == named.provider
                    && kept.issuer == named.issuer
                    && (subject.is_some() || sid.is_some())
                    && subject.as_ref().is_none_or(|subject| *subject == kept.subject)
                    && sid.as_ref().is_none_or(|sid| kept.sid.as_ref() == Some(sid))
            };
            Ok(state.provider_sessions.values().filter(meant).map(|kept| kept.session).collect())
        })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.with(move |state| Ok(state.sweep(now, limit)))
    }

    fn add_key_with<'a>(&'a self, key: &'a ApiKey, max_per_user: usize, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |state| state.add_key(key, max_per_user))
    }

    fn key(&self, id: KeyId) -> Answer<'_, Option<(ApiKey, User)>> {
        self.with(move |state| {
            let Some(key) = state.keys.get(&id) else { return Ok(None) };
            Ok(state.users.get(&key.user_id).map(|user| (key.clone(), user.clone())))
        })
    }

    fn keys(&self, user: Option<UserId>) -> Answer<'_, Vec<ApiKey>> {
        self.with(move |state| {
            let keys = state.keys.values().filter(|key| user.is_none_or(|user| key.user_id == user));
            Ok(keys.cloned().collect())
        })
    }

    fn set_key_disabled_with<'a>(&'a self, id: KeyId, disabled: bool, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |state| Ok(state.keys.get_mut(&id).map(|key| key.disabled = disabled).is_some()))
    }

    fn touch_key(&self, id: KeyId, used: Timestamp) -> Answer<'_, ()> {
        self.with(move |state| {
            if let Some(key) = state.keys.get_mut(&id) {
                key.last_used_at = key.last_used_at.max(Some(used));
            }
            Ok(())
        })
    }

    fn delete_key_with<'a>(&'a self, id: KeyId, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |state| Ok(state.keys.remove(&id).is_some()))
    }

    fn add_one_time<'a>(&'a self, one_time: &'a OneTime) -> Answer<'a, ()> {
        self.with(move |state| state.add_one_time(one_time))
    }

    fn one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>> {
        self.with(move |state| {
            let mut live = state.one_times.values().filter(|link| now < link.expires_at);
            Ok(live.find(|link| link.token == token).cloned())
        })
    }

    fn take_one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>> {
        self.with(move |state| {
            let mut live = state.one_times.iter().filter(|(_, link)| now < link.expires_at);
            let number = live.find(|(_, link)| link.token == token).map(|(number, _)| *number);
            Ok(number.and_then(|number| state.one_times.remove(&number)))
        })
    }

    fn take_one_time_by_code<'a>(
        &'a self,
        purpose: Purpose,
        email_key: &'a str,
        code: Digest,
        max_attempts: u32,
        now: Timestamp,
    ) -> Answer<'a, Option<OneTime>> {
        self.with(move |state| Ok(state.take_one_time_by_code((purpose, email_key), code, max_attempts, now)))
    }

    fn one_times<'a>(&'a self, purpose: Purpose, email_key: &'a str, now: Timestamp) -> Answer<'a, Vec<OneTime>> {
        self.with(move |state| {
            let ours = |link: &&OneTime| link.purpose == purpose && link.email_key == email_key;
            let live = state.one_times.values().rev().filter(ours).filter(|link| now < link.expires_at);
            Ok(live.cloned().collect())
        })
    }

    fn every_one_time(&self, after: u64, limit: usize) -> Answer<'_, Vec<(u64, OneTime)>> {
        self.with(move |state| {
            let links = state.one_times.range(after.saturating_add(1)..).take(limit);
            Ok(links.map(|(number, link)| (*number, link.clone())).collect())
        })
    }

    fn waiting(&self, purpose: Purpose, now: Timestamp, limit: usize) -> Answer<'_, Vec<OneTime>> {
        self.with(move |state| {
            let meant = |link: &&OneTime| link.purpose == purpose && now < link.expires_at && !link.payload.is_null();
            Ok(state.one_times.values().rev().filter(meant).take(limit).cloned().collect())
        })
    }

    fn void_one_times<'a>(&'a self, email_key: Option<&'a str>, user: Option<UserId>) -> Answer<'a, usize> {
        self.with(move |state| {
            let before = state.one_times.len();
            let meant =
                |link: &OneTime| email_key == Some(link.email_key.as_str()) || (user.is_some() && link.user_id == user);
            state.one_times.retain(|_, link| !meant(link));
            Ok(before - state.one_times.len())
        })
    }

    fn signing_keys(&self) -> Answer<'_, Vec<SigningKey>> {
        self.with(|state| Ok(state.signing_keys.iter().rev().cloned().collect()))
    }

    fn add_signing_key<'a>(&'a self, key: &'a SigningKey, newest: Option<&'a str>) -> Answer<'a, bool> {
        self.with(move |state| {
            if state.signing_keys.last().map(|key| key.kid.as_str()) != newest {
                return Ok(false);
            }
            if state.signing_keys.iter().any(|there| there.kid == key.kid) {
                return Err(Error::Conflict("there is a signing key of this name".into()));
            }
            state.signing_keys.push(key.clone());
            Ok(true)
        })
    }

    fn sweep_signing_keys(&self, now: Timestamp) -> Answer<'_, usize> {
        self.with(move |state| {
            let before = state.signing_keys.len();
            state.signing_keys.retain(|key| now < key.retires_at);
            Ok(before - state.signing_keys.len())
        })
    }

    fn count_users(&self, kind: Kind) -> Answer<'_, u64> {
        self.with(move |state| Ok(state.users.values().filter(|user| user.kind == kind).count() as u64))
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.with(|_| Ok(()))
    }
}
