//! `vestibule users link`, `unlink` and `merge`.

use super::operator::{Failure, Operator};
use super::users::done;
use super::{Exit, new_user, print_error};
use crate::account::User;
use crate::provider::{Account, TwoPasswords};

pub(super) async fn link(
    operator: &Operator,
    user: &str,
    (provider, issuer, subject): (&str, &str, &str),
    json: bool,
) -> Result<Exit, Failure> {
    let user = operator.user(user).await?;
    let providers = new_user::providers(operator, &None).await?;
    if !operator.config.providers.others.contains_key(provider) {
        print_error(&format!(
            "note: no provider is named {provider:?} in the configuration; nobody signs in with it yet"
        ));
    }
    let account = Account { issuer: issuer.to_owned(), subject: subject.to_owned(), ..Account::default() };
    let user = providers.admission().link_for(user.id, provider, &account).await?;
    Ok(done(&user, &format!("has the account {subject} of {provider}"), json))
}

pub(super) async fn unlink(
    operator: &Operator,
    user: &str,
    provider: &str,
    subject: Option<&str>,
    json: bool,
) -> Result<Exit, Failure> {
    let user = operator.user(user).await?;
    let (issuer, subject) = the_one(&user, provider, subject)?;
    let providers = new_user::providers(operator, &None).await?;
    let user = providers.admission().unlink(user.id, provider, &issuer, &subject).await?;
    Ok(done(&user, &format!("has lost the account {subject} of {provider}"), json))
}

/// Which account of the provider is meant.
fn the_one(user: &User, provider: &str, subject: Option<&str>) -> Result<(String, String), Failure> {
    let meant = |identity: &&crate::account::Identity| {
        identity.provider == provider && subject.is_none_or(|subject| identity.subject == subject)
    };
    let found: Vec<_> = user.identities.iter().filter(meant).collect();
    match found[..] {
        [identity] => Ok((identity.issuer.clone(), identity.subject.clone())),
        [] => Err(Failure::Refused(format!("{} has no such account of {provider}", user.id))),
        _ => {
            let subjects = found.iter().map(|identity| identity.subject.as_str()).collect::<Vec<_>>().join(", ");
            Err(Failure::Refused(format!("{} has several accounts of {provider}, name one: {subjects}", user.id)))
        }
    }
}

pub(super) async fn merge(
    operator: &Operator,
    from: &str,
    into: &str,
    drop_password: bool,
    json: bool,
) -> Result<Exit, Failure> {
    let (from, into) = (operator.user(from).await?, operator.user(into).await?);
    let providers = new_user::providers(operator, &None).await?;
    let passwords = if drop_password { TwoPasswords::KeepTheStayings } else { TwoPasswords::Refuse };
    let user = providers.admission().merge(from.id, into.id, passwords).await?;
    Ok(done(&user, &format!("is also what {} was, which is gone", from.id), json))
}
