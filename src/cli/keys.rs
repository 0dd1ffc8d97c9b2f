//! `vestibule keys`: API keys of services, and those of users.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::operator::{self, Failure, Operator};
use super::table::{cell, moment, table};
use super::{Exit, Global, print, print_error};
use crate::account::api_key::{self, ApiKey};
use crate::account::{Kind, User};
use crate::clock::Timestamp;
use crate::config;
use crate::id::KeyId;
use crate::provider::server_key::{self, NewKey, Owner};
use crate::session::{Neighbours as _, Subject};

/// What to do, and how to say it.
#[derive(Debug, clap::Args)]
#[command(after_help = operator::HELP)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// One JSON object per line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and print it, this once
    Create(Create),
    /// List all keys
    List,
    /// Refuse a key from now on
    Disable {
        /// The key's id, or the key itself
        key: String,
    },
    /// Let a disabled key count again
    Enable {
        /// The key's id, or the key itself
        key: String,
    },
    /// Remove a key; a service goes with its key
    Delete {
        /// The key's id, or the key itself
        key: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What the key is for
    name: String,
    /// Give its service this role, one that the configuration declares; may be repeated
    #[arg(long = "role", value_name = "ROLE", conflicts_with = "user")]
    roles: Vec<String>,
    /// Let it speak for this user (an id or an e-mail address) instead of a service of its own
    #[arg(long)]
    user: Option<String>,
    /// Make it a key for the operator's listener ([admin]); it opens nothing else
    #[arg(long, conflicts_with_all = ["user", "roles"])]
    operator: bool,
    /// After so long it ends, such as 90d
    #[arg(long, value_name = "SPAN", value_parser = config::parse_span)]
    expires: Option<Duration>,
}

/// Does it.
pub fn run(args: &Args, global: &Global) -> Exit {
    operator::act(global, async |operator: &Operator| match &args.command {
        Command::Create(create) => make(operator, create, args.json).await,
        Command::List => list(operator, args.json).await,
        Command::Disable { key } => set_disabled(operator, key, true).await,
        Command::Enable { key } => set_disabled(operator, key, false).await,
        Command::Delete { key } => delete(operator, key).await,
    })
}

async fn make(operator: &Operator, create: &Create, json: bool) -> Result<Exit, Failure> {
    operator.expect_roles(&create.roles)?;
    let now = operator.clock.now();
    let owner = match &create.user {
        Some(user) => Owner::User(Box::new(operator.user(user).await?)),
        None if create.operator => Owner::Operator,
        None => Owner::Service(create.roles.iter().cloned().collect()),
    };
    if let Owner::User(user) = &owner
        && user.kind == Kind::Guest
    {
        return Err(Failure::Refused(format!("{} is a guest; keys are for accounts and services", user.id)));
    }
    let expires_at = create.expires.map(|span| now + span);
    let new = NewKey { id: KeyId::generate(now), name: name_of(&create.name)?, owner, expires_at };
    let (key, owner, secret) = server_key::make(&operator.store, new, now).await?;
    if create.operator && operator.config.admin.is_none() {
        print_error("note: there is no [admin], so there is nothing to open with it");
    }
    if !create.operator && operator.config.providers.api_key.is_none() {
        print_error("note: [providers.api-key] is off: no key is taken until it is on");
    }
    if json {
        let mut line = to_json(&key, &owner);
        // The key is what the operator asked for; it is printed this once and kept nowhere.
        line["key"] = Value::from(secret.expose());
        return Ok(print(&line.to_string()));
    }
    print_error(&format!("key {} for {}; it is shown this once:", key.id, whom(&owner)));
    Ok(print(secret.expose()))
}

async fn list(operator: &Operator, json: bool) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    for key in operator.store.keys(None).await? {
        // Gone since the list was read, or not.
        let Some((key, owner)) = operator.store.key(key.id).await? else { continue };
        if json && print(&to_json(&key, &owner).to_string()) != Exit::Fine {
            return Ok(Exit::Refused);
        }
        rows.push([
            key.id.to_string(),
            key.name.clone(),
            whom(&owner),
            state(&key, &owner, operator.clock.now()).to_owned(),
            owner.roles.iter().cloned().collect::<Vec<_>>().join(","),
            moment(key.expires_at),
            moment(key.last_used_at),
        ]);
    }
    let head = ["ID", "NAME", "FOR", "STATE", "ROLES", "ENDS", "LAST USED"];
    Ok(if json { Exit::Fine } else { print(&table(head, &rows)) })
}

async fn set_disabled(operator: &Operator, key: &str, disabled: bool) -> Result<Exit, Failure> {
    let id = key_id(key)?;
    let changed = server_key::set_disabled(&operator.store, id, disabled, operator.clock.now()).await?;
    operator.changed.tell(Subject::User(changed.ok_or_else(|| no_key(id))?.id));
    Ok(print(&format!("key {id} is {}", if disabled { "disabled" } else { "enabled" })))
}

async fn delete(operator: &Operator, key: &str) -> Result<Exit, Failure> {
    let id = key_id(key)?;
    let gone = server_key::delete(&operator.store, id, operator.clock.now()).await?;
    operator.changed.tell(Subject::User(gone.ok_or_else(|| no_key(id))?.id));
    Ok(print(&format!("key {id} is gone")))
}

fn no_key(id: KeyId) -> Failure {
    Failure::Refused(format!("there is no key {id}"))
}

/// The id, on its own or as the public part of a key that was found where it should not be.
fn key_id(typed: &str) -> Result<KeyId, Failure> {
    let id = match api_key::parse(typed) {
        Some((id, _)) => Some(id),
        None => typed.parse().ok(),
    };
    // What was typed may be most of a key.
    id.ok_or_else(|| Failure::Usage("a key's id has 24 hexadecimal digits; `keys list` shows them".to_owned()))
}

fn name_of(typed: &str) -> Result<&str, Failure> {
    let name = typed.trim();
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(Failure::Usage("a key has a name of 1 to 64 characters".to_owned())) }
}

fn whom(owner: &User) -> String {
    match owner.kind {
        Kind::Service if owner.is_operator() => format!("operator {}", owner.id),
        Kind::Service => format!("service {}", owner.id),
        Kind::User | Kind::Guest => cell(owner.email().unwrap_or(&owner.id.to_string())),
    }
}

fn state(key: &ApiKey, owner: &User, now: Timestamp) -> &'static str {
    match () {
        () if key.disabled => "disabled",
        () if owner.disabled => "user disabled",
        () if key.expires_at.is_some_and(|end| end <= now) => "ended",
        () => "enabled",
    }
}

fn to_json(key: &ApiKey, owner: &User) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "user_id": key.user_id,
        "kind": owner.kind,
        "operator": owner.is_operator(),
        "roles": owner.roles,
        "disabled": key.disabled,
        "created_at": key.created_at.rfc3339(),
        "expires_at": key.expires_at.map(Timestamp::rfc3339),
        "last_used_at": key.last_used_at.map(Timestamp::rfc3339),
    })
}
