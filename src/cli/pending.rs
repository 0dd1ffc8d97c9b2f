//! `vestibule users pending`: registrations whose mail was not answered yet.

use serde_json::{Value, json};

use super::operator::{Failure, Operator};
use super::table::table;
use super::{Exit, new_user, print};
use crate::account::email::Email;
use crate::account::one_time::{OneTime, Purpose};

pub(super) async fn list(operator: &Operator, json: bool) -> Result<Exit, Failure> {
    let waiting = operator.store.waiting(Purpose::Confirm, operator.clock.now(), MOST).await?;
    if !json {
        return Ok(print(&table(["EMAIL", "UNTIL"], &waiting.iter().map(row).collect::<Vec<_>>())));
    }
    let lines: Vec<String> = waiting.iter().map(|link| to_json(link).to_string()).collect();
    Ok(if lines.is_empty() { Exit::Fine } else { print(&lines.join("\n")) })
}

pub(super) async fn resend(operator: &Operator, email: &str) -> Result<Exit, Failure> {
    operator.expect_secrets(&["mail.", "providers.local-userpass."])?;
    let email = expect_waiting(operator, email).await?;
    let address = new_user::public_url(operator)
        .ok_or_else(|| Failure::Refused("a link needs `public_url`: write the address visitors type".to_owned()))?;
    let mail = operator.config.mail.clone();
    let (providers, mailer) = new_user::providers_mailing(operator, &Some(address), &mail).await?;
    new_user::local(&providers)?.resend(email.as_str()).await?;
    mailer.drain().await;
    Ok(print(&format!("another mail went to {email}, unless several registrations of it wait")))
}

pub(super) async fn delete(operator: &Operator, email: &str) -> Result<Exit, Failure> {
    let email = expect_waiting(operator, email).await?;
    let count = operator.store.void_one_times(Some(email.key()), None).await?;
    Ok(print(&format!("{count} links to {email} are void")))
}

async fn expect_waiting(operator: &Operator, typed: &str) -> Result<Email, Failure> {
    let email = Email::parse(typed).map_err(|error| Failure::Usage(format!("{typed:?}: {error}")))?;
    let open = operator.store.one_times(Purpose::Confirm, email.key(), operator.clock.now()).await?;
    if open.iter().all(|link| link.payload.is_null()) {
        return Err(Failure::Refused(format!("no registration of {email} waits")));
    }
    Ok(email)
}

fn row(link: &OneTime) -> [String; 2] {
    [link.email_key.clone(), link.expires_at.rfc3339()]
}

fn to_json(link: &OneTime) -> Value {
    json!({ "email": link.email_key, "valid_until": link.expires_at.rfc3339() })
}

/// How many are listed.
const MOST: usize = 10_000;
