//! The page about oneself.

use minijinja::{Value, context};

use super::call::Call;
use super::device;

use super::link::link_refusal;
use super::login::sign_up_word;
use super::page::{Moment, Page, is_guest};
use super::refusal::{reason_of, unavailable};
use super::return_to::ReturnTo;
use super::{Answer, Portal};
use crate::account::api_key::ApiKey;
use crate::account::linking::Policy;
use crate::account::{Identity, Kind, User};
use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::provider::{ANON_USER, API_KEY, LOCAL_USERPASS, SignUp};
use crate::rejection::Reason;
use crate::session::{Caller, Session};

/// What was typed into the forms of the page, to be shown again.
#[derive(Default)]
pub(super) struct Typed<'a> {
    pub(super) new_email: &'a str,
    pub(super) key_name: &'a str,
}

impl Portal {
    /// The page; strangers sign in first and come back.
    pub(super) async fn account(&self, call: &Call) -> Answer {
        let Some(caller) = call.caller.as_deref() else {
            let here = ReturnTo::parse(&format!("{}/account", self.prefix), &self.allowed);
            return if call.is_person() { Ok(self.to_login(&here)) } else { Err(Reason::SignInNeeded) };
        };
        if caller.kind() == Kind::Service {
            return Err(Reason::Forbidden);
        }
        let notice = call.parameter("note").and_then(|note| notice(&note));
        let mut page = self.account_page(caller, &Typed::default()).await?;
        if let Some(problem) = call.parameter("problem").and_then(|code| link_refusal(&code)) {
            page = page.problems(vec![problem]);
        }
        Ok(self.show_page(call, page.notice(notice)))
    }

    /// The page as the store has it now, not as the session remembers it.
    pub(super) async fn account_page(&self, caller: &Caller, typed: &Typed<'_>) -> Result<Page, Reason> {
        let user = self.store.user(caller.user.id).await.map_err(unavailable)?.ok_or(Reason::SignInNeeded)?;
        let sign_up = self.providers.local_userpass().map_or(SignUp::Closed, |local| local.settings().sign_up);
        let common = context! {
            guest => is_guest(Some(caller)),
            sign_up => sign_up_word(sign_up),
            query => ReturnTo::home().query(),
        };
        if user.kind == Kind::Guest {
            return Ok(Page::new("account.html", common));
        }
        let sessions = self.store.sessions_of(user.id).await.map_err(unavailable)?;
        let now = self.clock.now();
        let sessions = sessions.iter().filter(|session| session.is_live(now));
        let values = context! {
            keys => self.keys_of(&user).await?,
            key_days => self.key_days(),
            sessions => sessions.map(|session| session_values(session, caller.session)).collect::<Vec<_>>(),
            ways => self.ways(&user),
            links => if self.may_link() { self.redirects(None) } else { Vec::new() },
            local => user.password.is_some() && self.providers.local_userpass().is_some(),
            addable => user.password.is_none() && self.providers.local_userpass().is_some() && self.may_link(),
            password_hint => self.password_hint(),
            new_email => typed.new_email,
            key_name => typed.key_name,
            ..user_values(&user),
        };
        Ok(Page::new("account.html", context! { ..values, ..common }))
    }

    /// The ways to sign in, and which of them may go.
    fn ways(&self, user: &User) -> Vec<Value> {
        let opens = |identity: &&Identity| ![ANON_USER, API_KEY].contains(&identity.provider.as_str());
        let several = user.identities.iter().filter(opens).count() > 1;
        user.identities.iter().filter(opens).map(|identity| self.way_values(user, identity, several)).collect()
    }

    fn way_values(&self, user: &User, identity: &Identity, removable: bool) -> Value {
        let own = user.password.as_ref().filter(|_| identity.provider == LOCAL_USERPASS);
        let told = |field: &str| identity.data.get(field).and_then(serde_json::Value::as_str);
        let label = self.providers.other(&identity.provider).map(|named| named.label.as_str());
        context! {
            provider => identity.provider.as_str(),
            issuer => identity.issuer.as_str(),
            subject => identity.subject.as_str(),
            password => own.is_some(),
            label => label.unwrap_or(&identity.provider),
            account => own.map(|own| own.email.as_str()).or(told("email")).or(told("name")),
            since => Moment::new(identity.created_at),
            removable => removable,
        }
    }

    /// Whether ways to sign in may be added at all.
    pub(super) fn may_link(&self) -> bool {
        self.providers.admission().policy() != Policy::Never
    }

    async fn keys_of(&self, user: &User) -> Result<Option<Vec<Value>>, Reason> {
        let Some(keys) = self.providers.api_key().filter(|keys| keys.settings().user_keys > 0) else {
            return Ok(None);
        };
        let list = keys.list(user.id).await.map_err(reason_of)?;
        let now = self.clock.now();
        Ok(Some(list.iter().map(|key| key_values(key, now)).collect()))
    }

    /// For how many days a new key may be good; 0 is for ever.
    fn key_days(&self) -> Vec<u64> {
        let longest = self.providers.api_key().and_then(|keys| keys.settings().max_lifetime);
        let fits = |days: &u64| match longest {
            Some(longest) => *days > 0 && *days * DAY <= longest.as_secs(),
            None => true,
        };
        let days: Vec<u64> = [90, 30, 7, 365, 0].into_iter().filter(fits).collect();
        if days.is_empty() { vec![0] } else { days }
    }
}

/// Whether this way may be used to manage the account; a key that leaked must not make others.
pub(super) fn may_manage(caller: &Caller) -> bool {
    caller.session.is_some() && caller.kind() == Kind::User && caller.provider != API_KEY
}

fn user_values(user: &User) -> Value {
    context! {
        user_id => user.id.to_string(),
        email => user.email(),
        verified => user.email().is_some() && user.verified_email().is_some(),
        name => user.name(),
        roles => user.roles.iter().cloned().collect::<Vec<_>>(),
    }
}

fn key_values(key: &ApiKey, now: Timestamp) -> Value {
    context! {
        id => key.id.to_string(),
        name => key.name.as_str(),
        disabled => key.disabled,
        over => key.expires_at.is_some_and(|end| end <= now),
        created_at => Moment::new(key.created_at),
        last_used_at => key.last_used_at.map(Moment::new),
        expires_at => key.expires_at.map(Moment::new),
    }
}

fn session_values(session: &Session, here: Option<SessionId>) -> Value {
    context! {
        id => session.id.to_string(),
        device => device::words(&session.device.user_agent),
        address => session.device.address.map(|address| address.to_string()),
        here => here == Some(session.id),
        created_at => Moment::new(session.created_at),
        last_seen_at => Moment::new(session.last_seen_at),
    }
}

fn notice(note: &str) -> Option<&'static str> {
    match note {
        "password" => Some("Your password is changed, and you are signed out everywhere else."),
        "email-sent" => Some("A mail is on its way to the new address. Press the link in it to use the address."),
        "email" => Some("Your e-mail address is changed."),
        "linked" => Some("You can sign in this way from now on."),
        "unlinked" => Some("That way to sign in is removed, and where it was used you are signed out."),
        "key" => Some("The key is changed."),
        "key-gone" => Some("The key is deleted."),
        "session" => Some("That device is signed out."),
        "sessions" => Some("You are signed out everywhere else."),
        _ => None,
    }
}

const DAY: u64 = 24 * 60 * 60;
