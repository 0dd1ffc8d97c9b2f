//! `vestibule users add`: the two ways to make an account.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, Read as _};
use std::sync::Arc;

use serde_json::json;

use super::operator::{Failure, Operator};
use super::{Exit, print, print_error};
use crate::account::User;
use crate::account::email::Email;
use crate::account::password::Hasher;
use crate::fetch::Fetch;
use crate::function::{self, Program, Workers};
use crate::listen::Tls;
use crate::mail::{self, Mailer, Outbox};
use crate::provider::{self, Delivery, Invitee, Parts, Providers};
use crate::public_url::PublicUrl;
use crate::secret::Secret;
use crate::session::Sessions;

/// With the password on standard input: arguments can be read by everybody on the machine.
pub(super) async fn with_password(operator: &Operator, email: &str, roles: BTreeSet<String>) -> Result<User, Failure> {
    let email = address(email)?;
    let password = password_line()?;
    let providers = providers(operator, &public_url(operator)).await?;
    Ok(local(&providers)?.enrol(&email, &password, roles).await?)
}

/// By a link that works once, for the operator to hand over.
pub(super) async fn by_link(
    operator: &Operator,
    email: &str,
    roles: BTreeSet<String>,
    json: bool,
) -> Result<Exit, Failure> {
    let email = address(email)?;
    let public_url = public_url(operator)
        .ok_or_else(|| Failure::Refused("a link needs `public_url`: write the address visitors type".to_owned()))?;
    let providers = providers(operator, &Some(public_url)).await?;
    let local = local(&providers)?;
    let link = local.invite(Invitee::Address(email.clone()), roles, Delivery::Hand).await?;
    let end = operator.clock.now() + local.settings().invite_lifetime;
    // The link is what the operator asked for; it appears nowhere else.
    let link = link.expose();
    if json {
        return Ok(print(&json!({"email": email.as_str(), "link": link, "valid_until": end.rfc3339()}).to_string()));
    }
    print_error(&format!("hand this link to {email}; it works once, until {end}:"));
    Ok(print(link))
}

fn address(typed: &str) -> Result<Email, Failure> {
    Email::parse(typed).map_err(|error| Failure::Usage(format!("{typed:?}: {error}")))
}

fn password_line() -> Result<Secret, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(LONGEST_LINE).read_line(&mut line);
    let password = Secret::new(line.trim_end_matches(['\n', '\r']));
    zeroize::Zeroize::zeroize(&mut line);
    match read {
        // Looked at for this alone.
        Ok(_) if password.expose().is_empty() => Err(Failure::Usage("no password on standard input".to_owned())),
        Ok(_) => Ok(password),
        Err(error) => Err(Failure::Refused(format!("standard input: {error}"))),
    }
}

/// The providers of the configuration but for those of others, by which no command signs in and whose secrets need not
/// be here. They send no mail from here: what the command prints is the delivery.
pub(super) async fn providers(operator: &Operator, public_url: &Option<PublicUrl>) -> Result<Providers, Failure> {
    let silent = mail::Settings { outbox: Outbox::Memory, ..operator.config.mail.clone() };
    Ok(providers_mailing(operator, public_url, &silent).await?.0)
}

/// The same with a mailer that sends.
pub(super) async fn providers_mailing(
    operator: &Operator,
    public_url: &Option<PublicUrl>,
    mail: &mail::Settings,
) -> Result<(Providers, Mailer), Failure> {
    let Operator { config, store, clock, changed } = operator;
    let nowhere = || "http://localhost".parse().ok();
    let public_url = public_url.clone().or_else(nowhere).ok_or(Failure::Refused("no address".to_owned()))?;
    let sessions = Sessions::open(Arc::clone(store), clock.clone(), config.session.clone(), &public_url).await?;
    sessions.announce_to(changed.clone());
    let site = config.pages.title.clone().unwrap_or_else(|| public_url.host().to_owned());
    let mailer =
        Mailer::new(mail, &site, &public_url, clock.clone()).map_err(|error| Failure::Refused(error.to_string()))?;
    let hash_threads = config.providers.local_userpass.as_ref().map_or(0, |settings| settings.hash_threads);
    let fetch = Fetch::new(&config.outgoing).map_err(|error| Failure::Refused(error.to_string()))?;
    let providers = Providers::new(&Parts {
        // Whoever the operator adds is no surprise to the operator, and this process ends at once.
        settings: provider::Settings { on_user_created: None, others: BTreeMap::new(), ..config.providers.clone() },
        store: Arc::clone(store),
        sessions,
        hasher: Hasher::new(hash_threads),
        mailer: mailer.clone(),
        fetch,
        workers: Workers::new(Program::own(&[function::WORKER]), config.functions.clone()),
        clock: clock.clone(),
        public_url,
        prefix: config.prefix.clone(),
        site,
    })
    .map_err(|error| Failure::Refused(error.to_string()))?;
    Ok((providers, mailer))
}

pub(super) fn local(providers: &Providers) -> Result<&crate::provider::local_userpass::LocalUserpass, Failure> {
    let off = || Failure::Refused("[providers.local-userpass] is off: nobody signs in with a password".to_owned());
    providers.local_userpass().ok_or_else(off)
}

/// As configured, else the first address that is listened on.
pub(super) fn public_url(operator: &Operator) -> Option<PublicUrl> {
    let config = &operator.config;
    if config.public_url.is_some() {
        return config.public_url.clone();
    }
    let scheme = if config.listen.tls == Tls::Off { "http" } else { "https" };
    let first = config.listen.addresses.first().filter(|address| !address.ends_with(":0"))?;
    format!("{scheme}://{first}").parse().ok()
}

/// Far more than any password has.
const LONGEST_LINE: u64 = 4096;
