//! `vestibule users`: accounts, their roles and their data.

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::operator::{self, Failure, Operator};
use super::table::{cell, moment, table};
use super::{Exit, Global, linking, new_user, pending, print};
use crate::account::audit::{self, Action, Event};
use crate::account::{Identity, User};
use crate::session::{Neighbours as _, Subject};
use crate::store::{Along, Ends};

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
    /// List everybody, guests and service users included
    List,
    /// Show all that is known of a user
    Show {
        /// An id or an e-mail address
        user: String,
    },
    /// Make an account, by a link that works once or with a password
    Add {
        /// The address it signs in with
        email: String,
        /// Give it this role, one that the configuration declares; may be repeated
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Read the password from the first line of standard input instead of printing a link
        #[arg(long)]
        password_stdin: bool,
    },
    /// Refuse a user from now on and end its sessions
    Disable {
        /// An id or an e-mail address
        user: String,
    },
    /// Let a disabled user sign in again
    Enable {
        /// An id or an e-mail address
        user: String,
    },
    /// Remove a user with its sessions, keys and links
    Delete {
        /// An id or an e-mail address
        user: String,
    },
    /// Give a role or take it away
    Role {
        /// An id or an e-mail address
        user: String,
        /// Which of the two
        change: RoleChange,
        /// The role
        role: String,
    },
    /// Add an account of a provider, at your word: make sure that it is the user's
    Link {
        /// An id or an e-mail address
        user: String,
        /// The provider's name in the configuration
        provider: String,
        /// The provider's own name (`iss`); empty where it has none
        issuer: String,
        /// The account's name there (`sub`)
        subject: String,
    },
    /// Take an account of a provider away; never the last way to sign in
    Unlink {
        /// An id or an e-mail address
        user: String,
        /// The provider's name
        provider: String,
        /// Which account of it, where there are several
        subject: Option<String>,
    },
    /// Make two users one: FROM goes, INTO keeps its id
    Merge {
        /// An id or an e-mail address
        from: String,
        /// An id or an e-mail address
        into: String,
        /// Where both have a password, drop that of FROM
        #[arg(long)]
        drop_password: bool,
    },
    /// List registrations whose mail was not answered yet; send a mail again, or void a registration
    Pending {
        /// Send the mail to this address again
        #[arg(long, value_name = "EMAIL", conflicts_with = "delete")]
        resend: Option<String>,
        /// Void every link to this address
        #[arg(long, value_name = "EMAIL")]
        delete: Option<String>,
    },
    /// Print or replace the data that the app keeps about a user
    CustomData {
        /// An id or an e-mail address
        user: String,
        /// A JSON object
        #[arg(long, value_name = "JSON")]
        set: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleChange {
    /// Give it
    Add,
    /// Take it away
    Remove,
}

/// Does it.
pub fn run(args: &Args, global: &Global) -> Exit {
    operator::act(global, async |operator: &Operator| {
        let json = args.json;
        match &args.command {
            Command::List => list(operator, json).await,
            Command::Show { user } => show(operator, user, json).await,
            Command::Add { email, roles, password_stdin } => {
                operator.expect_roles(roles)?;
                let roles = roles.iter().cloned().collect();
                if *password_stdin {
                    let user = new_user::with_password(operator, email, roles).await?;
                    Ok(done(&user, "may sign in", json))
                } else {
                    new_user::by_link(operator, email, roles, json).await
                }
            }
            Command::Disable { user } => disable(operator, user, json).await,
            Command::Enable { user } => {
                let event = |_: &User, user: &User| along(operator, Action::ENABLE, user, |event| event);
                let user = operator.change(user, |user| user.disabled = false, event).await?;
                Ok(done(&user, "may sign in", json))
            }
            Command::Delete { user } => {
                let user = operator.user(user).await?;
                let event = Event::new(Action::DELETE, user.id, operator.clock.now());
                operator.store.delete_user_with(user.id, &[event.before("user", audit::user(&user))]).await?;
                operator.changed.tell(Subject::User(user.id));
                Ok(done(&user, "is gone", json))
            }
            Command::Role { user, change, role } => change_role(operator, user, *change, role, json).await,
            Command::Link { user, provider, issuer, subject } => {
                linking::link(operator, user, (provider, issuer, subject), json).await
            }
            Command::Unlink { user, provider, subject } => {
                linking::unlink(operator, user, provider, subject.as_deref(), json).await
            }
            Command::Merge { from, into, drop_password } => {
                linking::merge(operator, from, into, *drop_password, json).await
            }
            Command::Pending { resend: Some(email), .. } => pending::resend(operator, email).await,
            Command::Pending { delete: Some(email), .. } => pending::delete(operator, email).await,
            Command::Pending { resend: None, delete: None } => pending::list(operator, json).await,
            Command::CustomData { user, set: None } => {
                Ok(print(&Value::from(operator.user(user).await?.custom_data).to_string()))
            }
            Command::CustomData { user, set: Some(data) } => set_custom_data(operator, user, data, json).await,
        }
    })
}

async fn list(operator: &Operator, json: bool) -> Result<Exit, Failure> {
    let mut after = None;
    loop {
        let page = operator.store.users(after, PAGE).await?;
        let lines: Vec<String> = page.iter().map(|user| to_json(user).to_string()).collect();
        let exit = match json {
            true if lines.is_empty() => Exit::Fine,
            true => print(&lines.join("\n")),
            false => print(&table(HEAD, &page.iter().map(row).collect::<Vec<_>>())),
        };
        if exit != Exit::Fine || page.len() < PAGE {
            return Ok(exit);
        }
        after = page.last().map(|user| user.id);
    }
}

async fn show(operator: &Operator, name: &str, json: bool) -> Result<Exit, Failure> {
    let user = operator.user(name).await?;
    if json {
        return Ok(print(&to_json(&user).to_string()));
    }
    let sessions = operator.store.sessions_of(user.id).await?;
    let live = sessions.iter().filter(|session| session.is_live(operator.clock.now())).count();
    let keys = operator.store.keys(Some(user.id)).await?.len();
    let identities: Vec<String> = user.identities.iter().map(|identity| identity.provider.clone()).collect();
    let lines = [
        ("id", user.id.to_string()),
        ("kind", user.kind.as_str().to_owned()),
        ("state", state(&user).to_owned()),
        ("email", user.email().unwrap_or_default().to_owned()),
        ("verified email", user.verified_email().unwrap_or_default().to_owned()),
        ("name", user.name().unwrap_or_default().to_owned()),
        ("roles", roles(&user)),
        ("identities", identities.join(", ")),
        ("data", Value::from(user.data.clone()).to_string()),
        ("custom data", Value::from(user.custom_data.clone()).to_string()),
        ("made", moment(Some(user.created_at))),
        ("last sign-in", moment(user.last_sign_in_at)),
        ("sessions", live.to_string()),
        ("keys", keys.to_string()),
    ];
    let lines: Vec<String> = lines.iter().map(|(name, value)| format!("{name:15} {}", cell(value))).collect();
    Ok(print(&lines.join("\n")))
}

async fn disable(operator: &Operator, name: &str, json: bool) -> Result<Exit, Failure> {
    // Enabling the user again must not bring back what it was disabled for.
    let event =
        |_: &User, user: &User| along(operator, Action::DISABLE, user, |event| event).ending(Ends::AllBut(None));
    let user = operator.change(name, |user| user.disabled = true, event).await?;
    operator.store.void_one_times(None, Some(user.id)).await?;
    Ok(done(&user, "is disabled", json))
}

async fn change_role(
    operator: &Operator,
    name: &str,
    change: RoleChange,
    role: &str,
    json: bool,
) -> Result<Exit, Failure> {
    if let RoleChange::Add = change {
        operator.expect_roles(&[role.to_owned()])?;
    }
    let change = |user: &mut User| match change {
        RoleChange::Add => user.roles.insert(role.to_owned()),
        // One that is no longer declared can still be taken away.
        RoleChange::Remove => user.roles.remove(role),
    };
    let event = |before: &User, user: &User| {
        let (was, is) = (json!(before.roles), json!(user.roles));
        along(operator, Action::ROLES, user, |event| event.before("roles", was).after("roles", is))
    };
    let user = operator.change(name, |user| _ = change(user), event).await?;
    Ok(done(&user, &format!("has the roles: {}", cell(&roles(&user))), json))
}

async fn set_custom_data(operator: &Operator, name: &str, data: &str, json: bool) -> Result<Exit, Failure> {
    let data: Map<String, Value> = serde_json::from_str(data).map_err(|error| {
        Failure::Usage(format!("--set takes a JSON object such as '{{\"plan\": \"pro\"}}': {error}"))
    })?;
    let event = |before: &User, user: &User| {
        let (was, is) = (before.custom_data.clone(), user.custom_data.clone());
        along(operator, Action::CUSTOM_DATA, user, |event| event.before("custom_data", was).after("custom_data", is))
    };
    let user = operator.change(name, |user| user.custom_data = data.clone().into(), event).await?;
    Ok(done(&user, "has new custom data", json))
}

fn along(operator: &Operator, action: Action, user: &User, about: impl FnOnce(Event) -> Event) -> Along {
    Along::event(about(Event::new(action, user.id, operator.clock.now())))
}

/// Says what became of a user.
pub(super) fn done(user: &User, what: &str, json: bool) -> Exit {
    match json {
        true => print(&to_json(user).to_string()),
        false => print(&format!("{} ({}) {what}", cell(user.email().unwrap_or(user.kind.as_str())), user.id)),
    }
}

fn to_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "kind": user.kind,
        "disabled": user.disabled,
        "email": user.email(),
        "verified_email": user.verified_email(),
        "name": user.name(),
        "roles": user.roles,
        "identities": user.identities.iter().map(identity_to_json).collect::<Vec<_>>(),
        "has_password": user.password.is_some(),
        "data": user.data,
        "custom_data": user.custom_data,
        "created_at": user.created_at.rfc3339(),
        "last_sign_in_at": user.last_sign_in_at.map(|at| at.rfc3339()),
    })
}

fn identity_to_json(identity: &Identity) -> Value {
    json!({
        "provider": identity.provider,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "verified_email": identity.verified_email,
        "created_at": identity.created_at.rfc3339(),
    })
}

const HEAD: [&str; 7] = ["ID", "KIND", "STATE", "EMAIL", "NAME", "ROLES", "LAST SIGN-IN"];

fn row(user: &User) -> [String; 7] {
    [
        user.id.to_string(),
        user.kind.as_str().to_owned(),
        state(user).to_owned(),
        user.email().unwrap_or_default().to_owned(),
        user.name().unwrap_or_default().to_owned(),
        roles(user),
        moment(user.last_sign_in_at),
    ]
}

fn state(user: &User) -> &'static str {
    if user.disabled { "disabled" } else { "enabled" }
}

fn roles(user: &User) -> String {
    user.roles.iter().cloned().collect::<Vec<_>>().join(",")
}

/// How many users are read at a time.
const PAGE: usize = 500;
