//! A page for operators: users, what they are signed in with, and the end of it. It works without JavaScript; the
//! browser asks for the token as a password.

use http::StatusCode;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::answer::{see_other, typed};
use super::call::Call;
use super::deeds::{Changes, failed};
use super::{Admin, Answer, shown};
use crate::account::Kind;
use crate::portal;
use crate::rejection::Reason;
use crate::store::AuditFilter;

impl Admin {
    /// Answers whatever is no interface for programs.
    pub(super) async fn page(&self, mut call: Call) -> Answer {
        let (method, path) = call.line();
        let (method, path) = (method.to_owned(), path.iter().map(String::as_str).collect::<Vec<_>>());
        match (method.as_str(), &path[..]) {
            ("GET", ["style.css"]) => Ok(typed(StatusCode::OK, "text/css; charset=utf-8", portal::STYLE.to_owned())),
            ("GET", []) => self.users_page(&call).await,
            ("GET", ["users", id]) => self.user_page(id).await,
            ("POST", ["users", id, "end-sessions"]) => {
                let user = self.user(id).await?;
                self.end_sessions(user.id).await?;
                Ok(see_other(&format!("/users/{}", user.id)))
            }
            ("POST", ["users", id, word @ ("disable" | "enable")]) => {
                let user = self.user(id).await?;
                self.change(user.id, &Changes { disabled: Some(*word == "disable"), ..Changes::default() }).await?;
                Ok(see_other(&format!("/users/{}", user.id)))
            }
            ("POST", ["users", id, "delete"]) => {
                let user = self.user(id).await?;
                if call.form().await?.required("confirm")?.trim() != user.id.to_string() {
                    return Err(Reason::Unprocessable("confirm: type the id of the user".to_owned()));
                }
                self.delete(&user).await?;
                Ok(see_other("/"))
            }
            _ => Err(Reason::NotFound),
        }
    }

    async fn users_page(&self, call: &Call) -> Answer {
        let q = call.parameter("q").unwrap_or_default();
        let (users, next) = if q.is_empty() {
            let users = self.store.users(call.parsed("after")?, PAGE).await.map_err(failed)?;
            let next = users.last().filter(|_| users.len() == PAGE).map(|user| user.id.to_string());
            (users, next)
        } else {
            match self.user(q.trim()).await {
                Ok(user) => (vec![user], None),
                Err(Reason::NotFound) => (Vec::new(), None),
                Err(reason) => return Err(reason),
            }
        };
        let users: Vec<_> = users.iter().filter(|user| !user.is_operator()).map(shown::user).collect();
        let down = self.upstreams.states().filter(|(_, up)| !up).map(|(address, _)| address.to_string());
        let values = context! {
            site => self.site.clone(),
            version => env!("CARGO_PKG_VERSION"),
            accounts => self.store.count_users(Kind::User).await.map_err(failed)?,
            guests => self.store.count_users(Kind::Guest).await.map_err(failed)?,
            down => down.collect::<Vec<_>>(),
            q => q,
            users => value(users.into()),
            next => next,
        };
        draw("users.html", values)
    }

    async fn user_page(&self, id: &str) -> Answer {
        let user = self.user(id).await?;
        let sessions = self.store.sessions_of(user.id).await.map_err(failed)?;
        let filter = AuditFilter { subject: Some(user.id), since: None };
        let audit = self.store.audit(filter, None, PAGE).await.map_err(failed)?;
        let values = context! {
            site => self.site.clone(),
            user => value(shown::user(&user)),
            sessions => value(sessions.iter().map(shown::session).collect()),
            audit => value(audit.iter().map(shown::entry).collect()),
        };
        draw("user.html", values)
    }
}

/// JSON as templates take it.
fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(it) => Value::from(it),
        Json::Number(it) => Value::from(it.to_string()),
        Json::String(it) => Value::from(it),
        Json::Array(items) => items.into_iter().map(value).collect(),
        Json::Object(fields) => Value::from_pairs(fields.into_iter().map(|(name, it)| (name, value(it)))),
    }
}

/// Text of users is only ever a value in a template, and escaped.
fn draw(template: &str, values: Value) -> Answer {
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Lenient);
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    let broken = |error: minijinja::Error| {
        tracing::error!(%error, template, "an operator's page cannot be drawn");
        Reason::Internal
    };
    for (name, source) in TEMPLATES {
        pages.add_template(name, source).map_err(broken)?;
    }
    let html = pages.get_template(template).and_then(|page| page.render(values)).map_err(broken)?;
    Ok(typed(StatusCode::OK, "text/html; charset=utf-8", html))
}

const TEMPLATES: [(&str, &str); 3] = [
    ("frame.html", include_str!("templates/frame.html")),
    ("users.html", include_str!("templates/users.html")),
    ("user.html", include_str!("templates/user.html")),
];
const PAGE: usize = 50;
