//! The users of a Firebase project.

use serde_json::{Map, Value};

use super::import_users::{Account, Importer, Incoming, text};
use super::operator::Failure;
use crate::account::firebase_text;
use crate::clock::Timestamp;

/// The project's own part of every hash.
struct Parameters {
    signer: String,
    separator: String,
    rounds: u32,
    mem_cost: u32,
}

/// Takes everybody of an export in.
pub(super) async fn take(export: &str, parameters: Option<&str>, importer: &mut Importer<'_>) -> Result<(), Failure> {
    let export: Value = serde_json::from_str(export)
        .map_err(|error| Failure::Refused(format!("not the JSON of `firebase auth:export`: {error}")))?;
    let users = export.get("users").and_then(Value::as_array);
    let users = users.ok_or_else(|| Failure::Refused("the export has no list of `users`".to_owned()))?;
    let parameters = parameters.map(Parameters::read).transpose()?;
    for user in users.iter().filter_map(Value::as_object) {
        let local_id = text(user, "localId").unwrap_or_default();
        let place = format!("localId {local_id}");
        if user.contains_key("phoneNumber") {
            importer.note(format!("{place}: sign-in by phone is not known here; the number is kept in its data"));
        }
        let hash = hash(user, parameters.as_ref());
        if hash.is_none() && text(user, "passwordHash").is_some() {
            importer.note(format!("{place}: --parameters is missing, so its password is not taken"));
        }
        let by_password = text(user, "passwordHash").is_some() || providers(user).any(|name| name == "password");
        let moment = |name: &str| {
            let millis = user.get(name).and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
            millis.map(Timestamp::from_millis)
        };
        let mut data = Map::new();
        for (theirs, ours) in
            [("email", "email"), ("displayName", "name"), ("photoUrl", "picture"), ("phoneNumber", "phone")]
        {
            if let Some(value) = text(user, theirs) {
                data.insert(ours.to_owned(), Value::from(value));
            }
        }
        let verified = user.get("emailVerified").and_then(Value::as_bool).unwrap_or(false);
        let incoming = Incoming {
            identities: accounts(user, &place, importer),
            place,
            email: text(user, "email").filter(|_| by_password),
            verified,
            hash,
            data,
            custom_data: Map::from_iter([("firebase_uid".to_owned(), Value::from(local_id))]),
            disabled: user.get("disabled").and_then(Value::as_bool).unwrap_or(false),
            created_at: moment("createdAt"),
            last_sign_in_at: moment("lastSignedInAt"),
            ..Incoming::default()
        };
        importer.take(incoming).await?;
    }
    Ok(())
}

fn providers(user: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let infos = user.get("providerUserInfo").and_then(Value::as_array).into_iter().flatten();
    infos.filter_map(|info| info.get("providerId")?.as_str())
}

fn accounts(user: &Map<String, Value>, place: &str, importer: &mut Importer<'_>) -> Vec<Account> {
    let infos = user.get("providerUserInfo").and_then(Value::as_array).into_iter().flatten();
    let mut accounts = Vec::new();
    for info in infos.filter_map(Value::as_object) {
        let name = text(info, "providerId").unwrap_or_default();
        let known = match name.as_str() {
            "google.com" => ("oauth2-google", "https://accounts.google.com"),
            "facebook.com" => ("oauth2-facebook", "https://www.facebook.com"),
            "apple.com" => ("oauth2-apple", "https://appleid.apple.com"),
            "github.com" => ("github", "https://github.com"),
            "password" | "phone" => continue,
            other => {
                importer.note(format!("{place}: {other} is not taken over"));
                continue;
            }
        };
        if let Some(subject) = text(info, "rawId") {
            let (provider, issuer) = (known.0.to_owned(), known.1.to_owned());
            accounts.push(Account { provider, issuer, subject, verified_email: None });
        }
    }
    accounts
}

fn hash(user: &Map<String, Value>, parameters: Option<&Parameters>) -> Option<String> {
    let (Parameters { signer, separator, rounds, mem_cost }, hash) = (parameters?, text(user, "passwordHash")?);
    let salt = text(user, "salt").unwrap_or_default();
    Some(firebase_text(*mem_cost, *rounds, separator, signer, &salt, &hash))
}

impl Parameters {
    /// `hash_config { algorithm: SCRYPT, base64_signer_key: …, … }`, as the console shows it.
    fn read(shown: &str) -> Result<Self, Failure> {
        let value = |name: &str| {
            let rest = shown.split_once(&format!("{name}:"))?.1.trim_start();
            let end = rest.find([',', '\n', '}']).unwrap_or(rest.len());
            Some(rest[..end].trim().trim_matches('"').to_owned())
        };
        let missing = |name: &str| Failure::Refused(format!("the hash parameters have no {name}"));
        let needed = |name: &str| value(name).ok_or_else(|| missing(name));
        let number = |name: &str| needed(name)?.parse().map_err(|_| missing(name));
        Ok(Self {
            signer: needed("base64_signer_key")?,
            separator: needed("base64_salt_separator")?,
            rounds: number("rounds")?,
            mem_cost: number("mem_cost")?,
        })
    }
}
