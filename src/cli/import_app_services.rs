//! The exported folder of an App Services app.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::import::read;
use super::import_server_keys::Services;
use super::import_toml::{self, App};
use super::import_users::{Account, Importer, Incoming, id, objects, text};
use super::operator::Failure;
use crate::clock::Timestamp;

/// Where everything is.
pub(super) struct Export<'a> {
    pub(super) path: &'a Path,
    pub(super) users: &'a Option<PathBuf>,
    pub(super) custom_data: &'a Option<PathBuf>,
    pub(super) token_issuer: &'a str,
}

impl Export<'_> {
    /// Takes users and keys in, with their ids; answers with the configuration.
    pub(super) async fn take(&self, importer: &mut Importer<'_>) -> Result<String, Failure> {
        let app = App::read(self.path)?;
        let toml = import_toml::of(&app);
        toml.notes.iter().for_each(|note| importer.note(note.clone()));
        let custom = self.custom_data(&app)?;
        let users = self.file(self.users.as_deref(), "users.json")?;
        if users.is_none() {
            importer.note("there is no users.json: list the users by the Admin API (GET …/users, all pages)");
        }
        let users = users.unwrap_or_default();
        if !users.is_empty() && users.len().is_multiple_of(50) {
            importer.note(format!("{} users are whole pages of 50: is the last page among them?", users.len()));
        }
        let mut services = Services::default();
        for user in users {
            if text(&user, "type").as_deref() == Some("server") {
                services.add(&user, &custom, importer);
                continue;
            }
            if let Some(incoming) = self.incoming(&app, &user, &custom, importer) {
                importer.take(incoming).await?;
            }
        }
        services.take(&self.file(None, "api_keys.json")?, importer).await?;
        Ok(toml.text)
    }

    fn file(&self, named: Option<&Path>, usual: &str) -> Result<Option<Vec<Map<String, Value>>>, Failure> {
        let usual = self.path.join(usual);
        let path = named.unwrap_or(&usual);
        if named.is_none() && !path.exists() {
            return Ok(None);
        }
        objects(&read(path)?).map(Some)
    }

    /// Documents of the custom user data by the user they are about.
    fn custom_data(&self, app: &App) -> Result<BTreeMap<String, Map<String, Value>>, Failure> {
        let Some(path) = self.custom_data else { return Ok(BTreeMap::new()) };
        let field = app.user_id_field();
        let documents = objects(&read(path)?)?;
        let named = documents.into_iter().filter_map(|document| Some((id(document.get(&field))?, document)));
        Ok(named.collect())
    }

    fn incoming(
        &self,
        app: &App,
        user: &Map<String, Value>,
        custom: &BTreeMap<String, Map<String, Value>>,
        importer: &mut Importer<'_>,
    ) -> Option<Incoming> {
        let their_id = id(user.get("_id")).unwrap_or_default();
        let place = format!("user {their_id}");
        let Ok(own_id) = their_id.parse() else {
            importer.note(format!("{place}: its _id has not 24 hexadecimal digits"));
            importer.count("refused");
            return None;
        };
        let data = user.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        let (mut identities, mut is_guest, mut by_password) = (Vec::new(), false, false);
        let all = user.get("identities").and_then(Value::as_array).into_iter().flatten();
        for identity in all.filter_map(Value::as_object) {
            let kind = text(identity, "provider_type").unwrap_or_default();
            let subject = id(identity.get("id")).unwrap_or_default();
            let issuer = match kind.as_str() {
                "anon-user" => {
                    is_guest = true;
                    ""
                }
                "local-userpass" => {
                    by_password = true;
                    ""
                }
                "oauth2-google" => "https://accounts.google.com",
                "oauth2-facebook" => "https://www.facebook.com",
                "oauth2-apple" => "https://appleid.apple.com",
                "custom-token" => self.token_issuer,
                "custom-function" => "",
                "api-key" => {
                    importer.note(format!("{place}: its own API keys cannot be read there; it makes new ones"));
                    continue;
                }
                other => {
                    importer.note(format!("{place}: {other} is not taken over"));
                    continue;
                }
            };
            let (provider, issuer) = (kind, issuer.to_owned());
            identities.push(Account { provider, issuer, subject, verified_email: None });
        }
        Some(Incoming {
            place,
            id: Some(own_id),
            is_guest: is_guest && identities.len() == 1,
            email: text(&data, "email").filter(|_| by_password),
            verified: by_password && app.proves_addresses(),
            identities,
            custom_data: custom.get(&their_id).cloned().unwrap_or_default(),
            data,
            disabled: user.get("disabled").and_then(Value::as_bool).unwrap_or(false),
            created_at: moment(user, "creation_date"),
            last_sign_in_at: moment(user, "last_authentication_date"),
            ..Incoming::default()
        })
    }
}

/// A moment of theirs: seconds since 1970; 0 stands for never.
pub(super) fn moment(user: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    user.get(name).and_then(Value::as_i64).filter(|at| *at > 0).map(Timestamp::from_seconds)
}
