//! Server API keys of an App Services app, and the users that they speak for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::import_app_services::moment;
use super::import_users::{Importer, id, text};
use super::operator::Failure;
use super::{print, print_error};
use crate::account::{Kind, User};
use crate::id::KeyId;
use crate::provider;
use crate::provider::server_key::{self, NewKey, Owner};

/// The users of server keys: each key has one of its own.
#[derive(Default)]
pub(super) struct Services(Vec<Service>);

struct Service {
    /// Ids of the keys that sign it in: one.
    keys: Vec<String>,
    /// The key's name.
    name: String,
    user: User,
}

impl Services {
    /// One of the users that the Admin API lists as `server`.
    pub(super) fn add(
        &mut self,
        listed: &Map<String, Value>,
        custom: &BTreeMap<String, Map<String, Value>>,
        importer: &mut Importer<'_>,
    ) {
        let their_id = id(listed.get("_id")).unwrap_or_default();
        let Ok(own_id) = their_id.parse() else {
            importer.note(format!("user {their_id}: its _id has not 24 hexadecimal digits"));
            return;
        };
        let data = listed.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        let now = importer.operator.clock.now();
        let mut user = User::new(own_id, Kind::Service, moment(listed, "creation_date").unwrap_or(now));
        user.disabled = listed.get("disabled").and_then(Value::as_bool).unwrap_or(false);
        user.last_sign_in_at = moment(listed, "last_authentication_date");
        user.custom_data = custom.get(&their_id).cloned().unwrap_or_default().into();
        let identities = listed.get("identities").and_then(Value::as_array).into_iter().flatten();
        let keys = identities.filter_map(|identity| id(identity.get("id"))).collect();
        self.0.push(Service { keys, name: text(&data, "name").unwrap_or_default(), user });
    }

    /// Makes the keys of `api_keys.json` anew, under their ids and for the users they had.
    pub(super) async fn take(
        mut self,
        listed: &Option<Vec<Map<String, Value>>>,
        importer: &mut Importer<'_>,
    ) -> Result<(), Failure> {
        if listed.is_none() && !self.0.is_empty() {
            importer.note("there is no api_keys.json: list the server keys by the Admin API (GET …/api_keys)");
        }
        if listed.as_ref().is_some_and(|keys| !keys.is_empty()) {
            importer.note("secrets of API keys cannot be exported there: each server key gets a new one");
        }
        for key in listed.iter().flatten() {
            self.take_key(key, importer).await?;
        }
        for left in self.0 {
            importer.note(format!(
                "user {}: its server key {:?} is not in api_keys.json; it is not taken over",
                left.user.id, left.name
            ));
        }
        Ok(())
    }

    /// A server key under its old id; its secret never leaves App Services, so it has a new one.
    async fn take_key(&mut self, key: &Map<String, Value>, importer: &mut Importer<'_>) -> Result<(), Failure> {
        let (their_id, name) = (id(key.get("_id")).unwrap_or_default(), text(key, "name").unwrap_or_default());
        let Ok(key_id) = their_id.parse::<KeyId>() else {
            importer.note(format!("key {their_id}: its _id has not 24 hexadecimal digits"));
            return Ok(());
        };
        let disabled = key.get("disabled").and_then(Value::as_bool).unwrap_or(false);
        let former = self.of(&their_id, &name);
        let operator = importer.operator;
        if operator.store.key(key_id).await?.is_some() {
            importer.count("keys there already");
            return Ok(());
        }
        let owner = match former {
            None => {
                importer.note(format!("key {name} ({key_id}): its user is not in users.json; it gets a new user id"));
                Owner::Service(Default::default())
            }
            Some(user) if operator.store.user(user.id).await?.is_some() => {
                importer.note(format!("key {name} ({key_id}): its user id {} is taken; it gets a new one", user.id));
                Owner::Service(Default::default())
            }
            Some(user) => Owner::Former(Box::new(user)),
        };
        if importer.dry_run {
            importer.count("keys to be made anew");
            return Ok(());
        }
        let now = operator.clock.now();
        match server_key::make(&operator.store, NewKey { id: key_id, name: &name, owner, expires_at: None }, now).await
        {
            Ok((made, _, secret)) => {
                if disabled {
                    server_key::set_disabled(&operator.store, made.id, true, now).await?;
                }
                // What the operator came for; it is printed this once, as a comment of the configuration.
                print(&format!("# key {name} ({key_id}), shown this once: {}", secret.expose()));
                importer.count("keys made anew");
            }
            Err(provider::Error::Store(error)) => return Err(error.into()),
            Err(error) => print_error(&format!("note: key {name} ({key_id}): {error}")),
        }
        Ok(())
    }

    /// Whom the key speaks for: who has it as identity. Where none has, who alone has its name, which is unique among
    /// server keys there.
    fn of(&mut self, key: &str, name: &str) -> Option<User> {
        let by_id = self.0.iter().position(|service| service.keys.iter().any(|one| one == key));
        let by_name = || {
            let mut named = self.0.iter().enumerate().filter(|(_, service)| service.name == name);
            let (at, _) = named.next()?;
            named.next().is_none().then_some(at)
        };
        by_id.or_else(by_name).map(|at| self.0.swap_remove(at).user)
    }
}
