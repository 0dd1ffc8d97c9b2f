//! What the memory store holds, and its deeds: each looks at everything first and changes something only then.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Along, Ends, Error, Rotated, Saved, SigningKey};
use crate::account::api_key::ApiKey;
use crate::account::audit::{Entry, Event};
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Identity, Kind, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::Digest;
use crate::session::{ProviderSession, Session};

/// Users, sessions, keys and links with the indexes that find them.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) emails: HashMap<String, UserId>,
    pub(super) identities: HashMap<(String, String, String), UserId>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) tokens: HashMap<Digest, SessionId>,
    pub(super) keys: BTreeMap<KeyId, ApiKey>,
    /// The higher the number, the newer the link.
    pub(super) one_times: BTreeMap<u64, OneTime>,
    /// The newest last.
    pub(super) signing_keys: Vec<SigningKey>,
    /// The oldest first.
    pub(super) audit: Vec<Entry>,
    pub(super) provider_sessions: HashMap<SessionId, ProviderSession>,
    previous_tokens: HashMap<Digest, SessionId>,
    sessions_by_user: BTreeSet<(UserId, SessionId)>,
    next_one_time: u64,
    audited: u64,
}

impl State {
    pub(super) fn save_user(&mut self, user: &User) -> Result<Saved, Error> {
        if self.users.get(&user.id).map_or(0, |found| found.version) != user.version {
            return Ok(Saved::Stale);
        }
        let another = |id: &UserId| *id != user.id;
        let email = user.password.as_ref().map(|password| password.email.key().to_owned());
        if email.as_ref().and_then(|key| self.emails.get(key)).is_some_and(another) {
            return Ok(Saved::EmailTaken);
        }
        let names: HashSet<_> = user.identities.iter().map(name).collect();
        if names.iter().any(|name| self.identities.get(name).is_some_and(another)) {
            return Ok(Saved::IdentityTaken);
        }
        if names.len() < user.identities.len() {
            return Err(Error::Conflict("a user has one identity twice".into()));
        }
        self.forget_names(user.id);
        self.emails.extend(email.map(|key| (key, user.id)));
        self.identities.extend(names.into_iter().map(|name| (name, user.id)));
        self.users.insert(user.id, User { version: user.version + 1, ..user.clone() });
        Ok(Saved::Done)
    }

    pub(super) fn import_user(&mut self, user: &User) -> Result<bool, Error> {
        if self.users.contains_key(&user.id) {
            return Ok(false);
        }
        match self.save_user(&User { version: 0, ..user.clone() })? {
            Saved::Done => {}
            Saved::Stale | Saved::IdentityTaken | Saved::EmailTaken => {
                return Err(Error::Conflict("one of its names belongs to another user".into()));
            }
        }
        self.users.insert(user.id, user.clone());
        Ok(true)
    }

    pub(super) fn save_user_with(&mut self, user: &User, along: &Along) -> Result<Saved, Error> {
        let saved = self.save_user(user)?;
        if saved == Saved::Done {
            let goes = |session: &Session| match &along.ends {
                Ends::None => false,
                Ends::AllBut(kept) => Some(session.id) != *kept,
                Ends::By(provider) => session.provider == *provider,
            };
            self.sessions_of(user.id).iter().filter(|session| goes(session)).for_each(|session| {
                self.end_session(session.id);
            });
            self.add_audit(&along.events);
        }
        Ok(saved)
    }

    pub(super) fn merge_users(&mut self, into: &User, from: &User, along: &Along) -> Result<Saved, Error> {
        let is_as_read = |user: &User| self.users.get(&user.id).is_some_and(|found| found.version == user.version);
        if into.id == from.id || !is_as_read(into) || !is_as_read(from) {
            return Ok(Saved::Stale);
        }
        let another = |id: &UserId| *id != into.id && *id != from.id;
        let email = into.password.as_ref().and_then(|password| self.emails.get(password.email.key()));
        if email.is_some_and(another) {
            return Ok(Saved::EmailTaken);
        }
        if into.identities.iter().any(|identity| self.identities.get(&name(identity)).is_some_and(another)) {
            return Ok(Saved::IdentityTaken);
        }
        if from.kind != Kind::Guest {
            for id in self.session_ids(from.id) {
                self.sessions_by_user.remove(&(from.id, id));
                self.sessions_by_user.insert((into.id, id));
                self.sessions.entry(id).and_modify(|session| session.user_id = into.id);
            }
        }
        self.keys.values_mut().filter(|key| key.user_id == from.id).for_each(|key| key.user_id = into.id);
        self.delete_user(from.id);
        self.save_user_with(into, along)
    }

    pub(super) fn add_audit(&mut self, events: &[Event]) {
        for event in events {
            self.audited += 1;
            self.audit.push(Entry { sequence: self.audited, event: event.clone() });
        }
    }

    fn forget_names(&mut self, id: UserId) {
        let Some(user) = self.users.get(&id) else { return };
        if let Some(password) = &user.password {
            self.emails.remove(password.email.key());
        }
        for identity in &user.identities {
            self.identities.remove(&name(identity));
        }
    }

    pub(super) fn delete_user(&mut self, id: UserId) -> bool {
        self.forget_names(id);
        for session in self.session_ids(id) {
            self.end_session(session);
        }
        self.keys.retain(|_, key| key.user_id != id);
        self.one_times.retain(|_, link| link.user_id != Some(id));
        self.users.remove(&id).is_some()
    }

    pub(super) fn idle_guests(&self, before: Timestamp, limit: usize) -> Vec<UserId> {
        let idle = |user: &&User| {
            let sessions = self.sessions_of(user.id);
            let used = sessions.iter().map(|session| session.last_seen_at).max();
            Some(user.created_at).max(user.last_sign_in_at).max(used) < Some(before)
        };
        let guests = self.users.values().filter(|user| user.kind == Kind::Guest);
        guests.filter(idle).take(limit).map(|user| user.id).collect()
    }

    fn session_ids(&self, user: UserId) -> Vec<SessionId> {
        let all = (user, SessionId::from_bytes([0; 12]))..=(user, SessionId::from_bytes([0xff; 12]));
        self.sessions_by_user.range(all).map(|(_, id)| *id).collect()
    }

    pub(super) fn session(&self, id: SessionId) -> Option<(Session, User)> {
        let session = self.sessions.get(&id)?;
        Some((session.clone(), self.users.get(&session.user_id)?.clone()))
    }

    pub(super) fn sessions_of(&self, user: UserId) -> Vec<Session> {
        let ids = self.session_ids(user);
        let mut sessions: Vec<_> = ids.iter().filter_map(|id| self.sessions.get(id)).cloned().collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.last_seen_at, session.id)));
        sessions
    }

    pub(super) fn add_session(&mut self, session: &Session, max_per_user: usize) -> Result<(), Error> {
        self.expect_user(session.user_id)?;
        let previous = session.previous.map(|(digest, _)| digest);
        if self.sessions.contains_key(&session.id)
            || self.tokens.contains_key(&session.token)
            || previous.is_some_and(|digest| self.previous_tokens.contains_key(&digest))
        {
            return Err(Error::Conflict("there is a session of this name or token".into()));
        }
        for over in self.sessions_of(session.user_id).iter().skip(max_per_user.saturating_sub(1)) {
            self.end_session(over.id);
        }
        self.tokens.insert(session.token, session.id);
        self.previous_tokens.extend(previous.map(|digest| (digest, session.id)));
        self.sessions_by_user.insert((session.user_id, session.id));
        self.sessions.insert(session.id, session.clone());
        Ok(())
    }

    pub(super) fn end_session(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.remove(&id) else { return false };
        self.tokens.remove(&session.token);
        self.provider_sessions.remove(&id);
        if let Some((digest, _)) = session.previous {
            self.previous_tokens.remove(&digest);
        }
        self.sessions_by_user.remove(&(session.user_id, id))
    }

    pub(super) fn rotate_token(
        &mut self,
        old: Digest,
        new: Digest,
        now: Timestamp,
        idle_expires_at: Timestamp,
    ) -> Result<Rotated, Error> {
        let live = |id: &SessionId| self.sessions.get(id).filter(|session| session.is_live(now)).cloned();
        let Some(mut session) = self.tokens.get(&old).and_then(live) else {
            let reused = self.previous_tokens.get(&old).and_then(live);
            return Ok(reused.map_or(Rotated::Unknown, |session| Rotated::Reused(Box::new(session))));
        };
        if self.tokens.contains_key(&new) || self.previous_tokens.contains_key(&old) {
            return Err(Error::Conflict("there is a session of this token".into()));
        }
        let Some(user) = self.users.get(&session.user_id).cloned() else { return Ok(Rotated::Unknown) };
        self.tokens.remove(&old);
        if let Some((digest, _)) = session.previous.replace((old, now)) {
            self.previous_tokens.remove(&digest);
        }
        session.token = new;
        session.last_seen_at = session.last_seen_at.max(now);
        session.idle_expires_at = session.idle_expires_at.max(idle_expires_at);
        self.tokens.insert(new, session.id);
        self.previous_tokens.insert(old, session.id);
        self.sessions.insert(session.id, session.clone());
        Ok(Rotated::Done(Box::new(session), Box::new(user)))
    }

    pub(super) fn sweep(&mut self, now: Timestamp, limit: usize) -> usize {
        let over = self.sessions.values().filter(|session| !session.is_live(now)).take(limit);
        let sessions: Vec<_> = over.map(|session| session.id).collect();
        sessions.iter().for_each(|id| {
            self.end_session(*id);
        });
        let over = self.one_times.iter().filter(|(_, link)| link.expires_at <= now).take(limit);
        let links: Vec<_> = over.map(|(number, _)| *number).collect();
        links.iter().for_each(|number| {
            self.one_times.remove(number);
        });
        sessions.len() + links.len()
    }

    pub(super) fn add_key(&mut self, key: &ApiKey, max_per_user: usize) -> Result<bool, Error> {
        if self.keys.values().filter(|there| there.user_id == key.user_id).count() >= max_per_user {
            return Ok(false);
        }
        self.expect_user(key.user_id)?;
        if self.keys.contains_key(&key.id) {
            return Err(Error::Conflict("there is a key of this name".into()));
        }
        self.keys.insert(key.id, key.clone());
        Ok(true)
    }

    pub(super) fn add_one_time(&mut self, one_time: &OneTime) -> Result<(), Error> {
        if let Some(user) = one_time.user_id {
            self.expect_user(user)?;
        }
        if self.one_times.values().any(|link| link.token == one_time.token) {
            return Err(Error::Conflict("there is a link of this token".into()));
        }
        self.next_one_time += 1;
        self.one_times.insert(self.next_one_time, one_time.clone());
        Ok(())
    }

    pub(super) fn take_one_time_by_code(
        &mut self,
        (purpose, email_key): (Purpose, &str),
        code: Digest,
        max_attempts: u32,
        now: Timestamp,
    ) -> Option<OneTime> {
        let meant = |link: &OneTime| link.purpose == purpose && link.email_key == email_key;
        let good = |link: &OneTime| {
            let live = now < link.code_expires_at && now < link.expires_at;
            meant(link) && live && link.attempts < max_attempts && link.code.matches(&code)
        };
        let number = self.one_times.iter().rev().find(|(_, link)| good(link)).map(|(number, _)| *number);
        if number.is_none() {
            let tried = self.one_times.values_mut().filter(|link| meant(link));
            tried.for_each(|link| link.attempts = link.attempts.saturating_add(1));
        }
        number.and_then(|number| self.one_times.remove(&number))
    }

    fn expect_user(&self, id: UserId) -> Result<(), Error> {
        if self.users.contains_key(&id) { Ok(()) } else { Err(Error::Conflict("its user is gone".into())) }
    }
}

fn name(identity: &Identity) -> (String, String, String) {
    (identity.provider.clone(), identity.issuer.clone(), identity.subject.clone())
}
