//! From what a provider told to an account: which fields are kept, which roles they stand for, who may come in.

use serde_json::{Map, Value};

use super::oauth2::Error;
use super::{Account, OAuth};
use crate::account::email::Email;
use crate::account::metadata::{at, is_too_long};

/// What a provider told of an account, once it was checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Who vouches.
    pub(super) issuer: String,
    /// The account's name there.
    pub(super) subject: String,
    /// Everything it said, with the names that metadata knows.
    pub(super) claims: Map<String, Value>,
    /// An address it has verified and vouches for.
    pub(super) verified_email: Option<String>,
    /// The domain it vouches for; what `allow_domains` is compared with.
    pub(super) domain: Option<String>,
    /// Fields it tells only sometimes, so that their absence is no reason to refuse.
    pub(super) excused: &'static [&'static str],
}

impl Told {
    /// The account, if it may come in.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] for another domain, or a required field that is absent or too long to be kept.
    pub(super) fn account(self, settings: &OAuth) -> Result<Account, Error> {
        let allowed = &settings.allow_domains;
        let inside = |domain: &String| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain));
        if !allowed.is_empty() && !self.domain.as_ref().is_some_and(inside) {
            return Err(Error::NotAllowed("the account is of none of allow_domains".to_owned()));
        }
        let mut data = Map::new();
        for entry in &settings.metadata {
            match at(&self.claims, &entry.path).filter(|value| !is_nothing(value)) {
                // What is not required is left out later on.
                Some(value) if entry.required && is_too_long(value) => {
                    return Err(Error::NotAllowed(format!("{} has more than 4096 characters", entry.path)));
                }
                Some(value) => drop(data.insert(entry.field.clone(), value.clone())),
                None if entry.required && !self.excused.contains(&entry.path.as_str()) => {
                    return Err(Error::NotAllowed(format!("the provider does not tell {}", entry.path)));
                }
                None => {}
            }
        }
        let roles = settings.roles_from.as_ref().map(|path| words(at(&self.claims, path)));
        let roles = roles.into_iter().flatten().filter_map(|word| role(settings, word)).collect();
        let (issuer, subject) = (self.issuer, self.subject);
        Ok(Account {
            issuer,
            subject,
            verified_email: self.verified_email,
            is_authoritative: false,
            data,
            is_partial: false,
            roles,
            tokens: None,
        })
    }

    /// Notes an address that the provider says it has verified, and its domain; anything but an address is nothing.
    pub(super) fn verify(&mut self, email: Option<&Value>, verified: bool) {
        let email = email.and_then(Value::as_str).filter(|_| verified);
        let Some(email) = email.and_then(|text| Email::parse(text).ok()) else { return };
        self.domain = email.key().rsplit_once('@').map(|(_, domain)| domain.to_owned());
        self.verified_email = Some(email.as_str().to_owned());
    }

    /// Gives a claim a second name.
    pub(super) fn alias(&mut self, from: &str, to: &str) {
        if let (Some(value), false) = (self.claims.get(from).cloned(), self.claims.contains_key(to)) {
            self.claims.insert(to.to_owned(), value);
        }
    }
}

/// Whether a claim that is to mean yes does: the boolean alone. `"true"`, 1 and everything else are no.
pub(super) fn is_true(value: Option<&Value>) -> bool {
    value == Some(&Value::Bool(true))
}

/// The same where the provider documents the text form, too (Apple, Google).
pub(super) fn is_true_or_text(value: Option<&Value>) -> bool {
    is_true(value) || value.and_then(Value::as_str) == Some("true")
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// A list of words, or one; or an object of them, each with where it is held (Zitadel).
fn words(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(word)) => vec![word],
        Some(Value::Object(words)) => {
            words.iter().filter(|(_, held)| held.is_object()).map(|(word, _)| &**word).collect()
        }
        _ => Vec::new(),
    }
}

/// Only what the configuration declares can become a role here.
fn role(settings: &OAuth, word: &str) -> Option<String> {
    let ours = if settings.role_map.is_empty() { Some(word) } else { settings.role_map.get(word).map(String::as_str) };
    ours.filter(|role| settings.roles.contains(*role)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::{MetadataField, OAuthKind};

    fn told(claims: Value) -> Told {
        let claims = claims.as_object().unwrap().clone();
        let mut told = Told { issuer: "https://id.test".into(), subject: "7".into(), claims, ..Told::default() };
        let (email, verified) = (told.claims.get("email").cloned(), is_true(told.claims.get("email_verified")));
        told.verify(email.as_ref(), verified);
        told
    }

    fn settings() -> OAuth {
        OAuth::new(OAuthKind::Oidc, "app")
    }

    #[test]
    fn what_the_configuration_names_is_kept_and_nothing_else() {
        let mut settings = settings();
        settings.metadata.push(MetadataField { path: "org.unit".into(), field: "unit".into(), required: false });
        let told = told(json!({ "name": "Ann", "email": "", "org": { "unit": 7 }, "secret": "x" }));
        let data = Value::Object(told.account(&settings).unwrap().data);
        assert_eq!(data, json!({ "name": "Ann", "unit": 7 }));
    }

    #[test]
    fn without_a_required_field_nobody_comes_in() {
        let mut settings = settings();
        settings.metadata[0].required = true;
        assert!(told(json!({ "email": "ann@example.com" })).account(&settings).is_ok());
        assert!(matches!(told(json!({ "email": null })).account(&settings), Err(Error::NotAllowed(_))));
        // What is too long is not kept, and so as good as absent.
        for (length, comes) in [(4096, true), (4097, false)] {
            assert_eq!(told(json!({ "email": "x".repeat(length) })).account(&settings).is_ok(), comes);
        }
    }

    #[test]
    fn sec_link_06_only_the_boolean_verifies_an_address() {
        for verified in [json!("false"), json!("true"), json!(1), json!(null), json!({}), json!(false)] {
            let told = told(json!({ "email": "ann@example.com", "email_verified": verified }));
            assert_eq!(told.account(&settings()).unwrap().verified_email, None, "{verified}");
        }
        assert_eq!(told(json!({ "email": "ann@example.com" })).account(&settings()).unwrap().verified_email, None);
        let told = told(json!({ "email": "Ann@example.com", "email_verified": true }));
        assert_eq!(told.account(&settings()).unwrap().verified_email.as_deref(), Some("Ann@example.com"));
    }

    #[test]
    fn a_domain_is_that_of_a_verified_address() {
        let settings = OAuth { allow_domains: vec!["corp.test".into()], ..settings() };
        let comes = |email: &str, verified: bool| {
            told(json!({ "email": email, "email_verified": verified })).account(&settings).is_ok()
        };
        assert!(comes("a@corp.test", true) && comes("a@CORP.test", true));
        for email in ["a@evil.test", "a@sub.corp.test", "a@evilcorp.test", "a@evil.test@corp.test", "a＠corp.test"] {
            assert!(!comes(email, true), "{email}");
        }
        assert!(!comes("a@corp.test", false));
        assert!(told(json!({})).account(&settings).is_err());
    }

    #[test]
    fn their_words_become_our_roles_only_where_both_sides_are_written_down() {
        let roles = ["editor", "journalist"].map(str::to_owned).into();
        let mut settings = OAuth { roles_from: Some("realm.groups".into()), roles, ..settings() };
        let claims = json!({ "realm": { "groups": ["editor", "admin", "eds", 7] } });
        let of = |settings: &OAuth| Vec::from_iter(told(claims.clone()).account(settings).unwrap().roles);
        assert_eq!(of(&settings), ["editor"]);
        settings.role_map = [("eds", "journalist"), ("admin", "root")].map(|(a, b)| (a.into(), b.into())).into();
        assert_eq!(of(&settings), ["journalist"]);
    }

    #[test]
    fn words_come_in_a_list_alone_or_as_names_of_objects() {
        let roles: std::collections::BTreeSet<_> = ["editor", "journalist"].map(str::to_owned).into();
        let settings = OAuth { roles_from: Some("roles".into()), roles, ..settings() };
        for (told_as, ours) in [
            (json!("editor"), vec!["editor"]),
            (json!(["editor", ["journalist"], null]), vec!["editor"]),
            (json!({ "editor": { "4711": "corp.example" }, "admin": {} }), vec!["editor"]),
            (json!({ "editor": true, "journalist": false }), vec![]),
            (json!({ "editor": null, "journalist": "no" }), vec![]),
            (json!(7), vec![]),
        ] {
            let account = told(json!({ "roles": told_as })).account(&settings).unwrap();
            assert_eq!(Vec::from_iter(account.roles), ours, "{told_as}");
        }
    }
}
