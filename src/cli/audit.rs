//! `vestibule audit`: what was done to accounts, and by whom.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::operator::{self, Failure, Operator};
use super::table::cell;
use super::{Exit, Global, print};
use crate::account::audit::Entry;
use crate::config;
use crate::store::AuditFilter;

/// Of whom, since when, and how to say it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what was done to this user (an id, also of one who is gone, or an e-mail address)
    #[arg(long)]
    user: Option<String>,
    /// Only what was done since so long, such as 7d
    #[arg(long, value_name = "SPAN", value_parser = config::parse_span)]
    since: Option<Duration>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(args: &Args, global: &Global) -> Exit {
    operator::act(global, async |operator: &Operator| list(operator, args).await)
}

async fn list(operator: &Operator, args: &Args) -> Result<Exit, Failure> {
    let subject = match &args.user {
        Some(user) => Some(operator.user_id(user).await?),
        None => None,
    };
    let filter = AuditFilter { subject, since: args.since.map(|span| operator.clock.now() - span) };
    let mut after = None;
    loop {
        let page = operator.store.audit(filter, after, PAGE).await?;
        let lines: Vec<String> = page.iter().map(|entry| line(entry, args.json)).collect();
        if !lines.is_empty() && print(&lines.join("\n")) != Exit::Fine {
            return Ok(Exit::Refused);
        }
        if page.len() < PAGE {
            return Ok(Exit::Fine);
        }
        after = page.last().map(|entry| entry.sequence);
    }
}

fn line(entry: &Entry, json: bool) -> String {
    let event = &entry.event;
    if json {
        return to_json(entry).to_string();
    }
    let subject = event.subject.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let changes = match (event.before.is_empty(), event.after.is_empty()) {
        (true, true) => String::new(),
        (false, true) => shown(&event.before),
        (true, false) => shown(&event.after),
        (false, false) => format!("{} -> {}", shown(&event.before), shown(&event.after)),
    };
    format!(
        "{}  {:17} {subject}  by {}  {changes}",
        event.at.rfc3339(),
        event.action.word(),
        cell(&event.actor.to_string())
    )
    .trim_end()
    .to_owned()
}

/// What comes from outside, in a form that moves no cursor.
fn shown(values: &Map<String, Value>) -> String {
    cell(&Value::from(values.clone()).to_string())
}

fn to_json(entry: &Entry) -> Value {
    let event = &entry.event;
    json!({
        "sequence": entry.sequence,
        "at": event.at.rfc3339_millis(),
        "request_id": event.request_id,
        "actor": event.actor.to_string(),
        "action": event.action.word(),
        "subject": event.subject,
        "before": event.before,
        "after": event.after,
    })
}

/// How many entries are read at a time.
const PAGE: usize = 1000;
