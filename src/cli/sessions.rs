//! `vestibule sessions`: who is signed in, and ending it.

use clap::Subcommand;
use serde_json::{Value, json};

use super::operator::{self, Failure, Operator};
use super::table::{moment, table};
use super::{Exit, Global, print};
use crate::account::audit::{Action, Event};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::session::{Neighbours as _, Session, Subject};

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
    /// List the sessions that count
    List {
        /// Of this user (an id or an e-mail address) only
        #[arg(long)]
        user: Option<String>,
    },
    /// End a session, or all sessions of a user
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Revoke {
        /// The session's id
        #[arg(group = "which")]
        id: Option<SessionId>,
        /// All of this user (an id or an e-mail address)
        #[arg(long, group = "which")]
        user: Option<String>,
    },
}

/// Does it.
pub fn run(args: &Args, global: &Global) -> Exit {
    operator::act(global, async |operator: &Operator| match &args.command {
        Command::List { user: None } => list(operator, args.json).await,
        Command::List { user: Some(user) } => {
            let user = operator.user(user).await?;
            Ok(say(&operator.store.sessions_of(user.id).await?, operator.clock.now(), args.json))
        }
        Command::Revoke { id: Some(id), .. } => {
            let unknown = || Failure::Refused(format!("there is no session {id}"));
            let (_, user) = operator.store.session(*id).await?.ok_or_else(unknown)?;
            let event = revoked(operator, user.id).before("session", id.to_string());
            if !operator.store.end_session_with(*id, &[event]).await? {
                return Err(unknown());
            }
            operator.changed.tell(Subject::Session(*id));
            Ok(say_ended(&[*id], args.json))
        }
        Command::Revoke { user: Some(user), .. } => {
            let user = operator.user(user).await?;
            let event = revoked(operator, user.id).before("sessions", "all");
            let ended = operator.store.end_sessions_of_with(user.id, None, &[event]).await?;
            operator.changed.tell(Subject::User(user.id));
            Ok(say_ended(&ended, args.json))
        }
        Command::Revoke { id: None, user: None } => Err(Failure::Usage("name a session, or a user by --user".into())),
    })
}

fn revoked(operator: &Operator, user: UserId) -> Event {
    Event::new(Action::SESSION_REVOKE, user, operator.clock.now())
}

async fn list(operator: &Operator, json: bool) -> Result<Exit, Failure> {
    let mut after = None;
    loop {
        let page = operator.store.sessions(after, PAGE).await?;
        let exit = say(&page, operator.clock.now(), json);
        if exit != Exit::Fine || page.len() < PAGE {
            return Ok(exit);
        }
        after = page.last().map(|session| session.id);
    }
}

fn say(sessions: &[Session], now: Timestamp, json: bool) -> Exit {
    let live = sessions.iter().filter(|session| session.is_live(now));
    if !json {
        return print(&table(HEAD, &live.map(row).collect::<Vec<_>>()));
    }
    let lines: Vec<String> = live.map(|session| to_json(session).to_string()).collect();
    if lines.is_empty() { Exit::Fine } else { print(&lines.join("\n")) }
}

fn say_ended(ended: &[SessionId], json: bool) -> Exit {
    match (json, ended) {
        (true, ended) => print(&json!({"ended": ended}).to_string()),
        (false, [id]) => print(&format!("session {id} has ended")),
        (false, ended) => print(&format!("{} sessions have ended", ended.len())),
    }
}

const HEAD: [&str; 7] = ["ID", "USER", "PROVIDER", "ADDRESS", "LAST SEEN", "ENDS", "DEVICE"];

fn row(session: &Session) -> [String; 7] {
    [
        session.id.to_string(),
        session.user_id.to_string(),
        session.provider.clone(),
        session.device.address.map_or_else(String::new, |address| address.to_string()),
        session.last_seen_at.rfc3339(),
        moment(Some(end(session))),
        session.device.user_agent.clone(),
    ]
}

fn to_json(session: &Session) -> Value {
    json!({
        "id": session.id,
        "user_id": session.user_id,
        "provider": session.provider,
        "address": session.device.address,
        "user_agent": session.device.user_agent,
        "created_at": session.created_at.rfc3339(),
        "last_seen_at": session.last_seen_at.rfc3339(),
        "ends_at": end(session).rfc3339(),
    })
}

/// When it ends unless it is used before.
fn end(session: &Session) -> Timestamp {
    session.idle_expires_at.min(session.expires_at)
}

/// How many sessions are read at a time.
const PAGE: usize = 500;
