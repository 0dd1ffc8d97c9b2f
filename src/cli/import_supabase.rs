//! The users of a Supabase project: rows of `auth.users`.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::import_users::{Account, Importer, Incoming, objects, text};
use super::operator::Failure;
use crate::clock::Timestamp;

/// Takes everybody of an export in.
pub(super) async fn take(export: &str, importer: &mut Importer<'_>) -> Result<(), Failure> {
    let now = importer.operator.clock.now();
    for (number, row) in objects(export)?.into_iter().enumerate() {
        let their_id = text(&row, "id").unwrap_or_default();
        let place = if their_id.is_empty() { format!("row {}", number + 1) } else { format!("id {their_id}") };
        if text(&row, "deleted_at").is_some() {
            importer.count("left out, deleted there");
            continue;
        }
        let verified = text(&row, "email_confirmed_at").is_some();
        let hash = text(&row, "encrypted_password");
        let identities = accounts(&row, verified, &place, importer);
        let by_password = hash.is_some() || identities.is_empty();
        let mut data: Map<String, Value> =
            row.get("raw_user_meta_data").and_then(Value::as_object).cloned().unwrap_or_default();
        for own in ["sub", "iss", "email_verified", "phone_verified", "provider_id"] {
            data.remove(own);
        }
        if let Some(email) = text(&row, "email") {
            data.insert("email".to_owned(), Value::from(email));
        }
        let incoming = Incoming {
            place,
            email: text(&row, "email").filter(|_| by_password),
            verified,
            hash,
            identities,
            data,
            custom_data: Map::from_iter([("supabase_id".to_owned(), Value::from(their_id))]),
            disabled: moment(&row, "banned_until").is_some_and(|until| until > now),
            created_at: moment(&row, "created_at"),
            last_sign_in_at: moment(&row, "last_sign_in_at"),
            ..Incoming::default()
        };
        importer.take(incoming).await?;
    }
    Ok(())
}

fn accounts(row: &Map<String, Value>, verified: bool, place: &str, importer: &mut Importer<'_>) -> Vec<Account> {
    let mut accounts = Vec::new();
    let identities = row.get("identities").and_then(Value::as_array).into_iter().flatten();
    for identity in identities.filter_map(Value::as_object) {
        let name = text(identity, "provider").unwrap_or_default();
        let (provider, issuer) = match name.as_str() {
            "google" => ("oauth2-google", "https://accounts.google.com"),
            "facebook" => ("oauth2-facebook", "https://www.facebook.com"),
            "apple" => ("oauth2-apple", "https://appleid.apple.com"),
            "github" => ("github", "https://github.com"),
            "email" => continue,
            other => {
                importer.note(format!("{place}: {other} is not taken over"));
                continue;
            }
        };
        if let Some(subject) = text(identity, "provider_id").or_else(|| text(identity, "id")) {
            let verified_email = text(row, "email").filter(|_| verified);
            let (provider, issuer) = (provider.to_owned(), issuer.to_owned());
            accounts.push(Account { provider, issuer, subject, verified_email });
        }
    }
    accounts
}

/// `2024-05-01 12:00:00.5+00` and `2024-05-01T12:00:00.5+00:00`.
fn moment(row: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    let mut text = text(row, name)?.replacen(' ', "T", 1);
    let zone = text.rfind(['+', '-']).filter(|at| *at > 10);
    if zone.is_some_and(|at| text.len() - at == 3) {
        text.push_str(":00");
    }
    let at = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
    Some(Timestamp::from_seconds(at.unix_timestamp()))
}
