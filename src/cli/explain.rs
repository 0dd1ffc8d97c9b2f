//! `vestibule explain`: what the rules say of a request, by the code the server decides with.

use std::net::IpAddr;

use http::Method;

use crate::account::User;
use crate::account::email::Email;
use crate::cli::{Exit, Global, print, print_error, run};
use crate::config::Config;
use crate::layer::{Preset, identity_headers};
use crate::public_url::PublicUrl;
use crate::route::{self, Denied, Path, Question, Refused, Route, Router, Subject};
use crate::store::{self, Store};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The method, such as GET
    method: Method,
    /// The path, or an address with a host: `/posts` or `https://admin.example.com/posts`
    target: String,
    /// Who asks: an e-mail address or a user's id; nobody if left out
    #[arg(long = "as", value_name = "USER")]
    account: Option<String>,
    /// By which provider they signed in
    #[arg(long, default_value = "local-userpass")]
    provider: String,
    /// Where the request comes from
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,
    /// The request wants to become a WebSocket
    #[arg(long)]
    upgrade: bool,
}

/// Prints the verdict; exits 0 when it is allowed and 1 when it is refused.
pub fn run(args: &Args, global: &Global) -> Exit {
    let config = match global.config_for_operator() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let router = match Router::new(&config.routes) {
        Ok(router) => router,
        Err(faults) => {
            faults.iter().for_each(|fault| print_error(&format!("error: routes.\"{}\": {}", fault.key, fault.kind)));
            return Exit::Config;
        }
    };
    let user = match &args.account {
        None => None,
        Some(account) => match run::runtime().and_then(|runtime| runtime.block_on(find(&config, account))) {
            Ok(user) => Some(user),
            Err(exit) => return exit,
        },
    };
    explain(args, &config, &router, user.as_ref())
}

fn explain(args: &Args, config: &Config, router: &Router, user: Option<&User>) -> Exit {
    let (host, target) = split(&args.target);
    let Some(host) = (if host.is_empty() { Some(String::new()) } else { route::canonical_host(host) }) else {
        return refused(&["why     the host cannot be read: 400".to_owned()]);
    };
    let path = match Path::parse(target) {
        Ok(path) => path,
        Err(error) => return refused(&[format!("why     the path is not in plain form ({error}): 400")]),
    };
    if path.as_str().strip_prefix(config.prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return print("allowed\nroute   our own pages, for everybody");
    }
    let question = Question {
        method: &args.method,
        upgrade: args.upgrade,
        address: args.from,
        subject: user.map(|user| Subject { user, provider: &args.provider }),
    };
    let verdict = router.decide(&host, &path, &question);
    let mut lines = Vec::new();
    match router.find(&host, path.as_str()) {
        Some(route) => {
            lines.push(format!("route   {}", route.key()));
            match route.action(&args.method) {
                Some(action) => {
                    lines.push(format!("action  {action} = {}", route.who(&args.method).unwrap_or_default()))
                }
                None => lines.push(format!("action  none for {}: nobody may", args.method)),
            }
        }
        None => lines.push("route   none: nobody may".to_owned()),
    }
    match verdict {
        Ok(_) => {
            lines.push(format!("who     {}", user.map_or("nobody".to_owned(), |user| user.id.to_string())));
            lines.extend(sent(config, args, user));
            let audience = router.find(&host, path.as_str()).and_then(Route::audience);
            lines.extend(assertion(config, audience.map(AsRef::as_ref), user));
            print(&format!("allowed\n{}", lines.join("\n")))
        }
        Err(reason) => {
            let instead = router.methods_instead(&host, path.as_str(), &question);
            lines.push(match instead.filter(|_| matches!(reason, Refused::Denied(Denied::Forbidden))) {
                Some(methods) => format!("why     the route has rules for {methods} alone: 405"),
                None => format!("why     {}", why(reason)),
            });
            refused(&lines)
        }
    }
}

fn refused(lines: &[String]) -> Exit {
    match print(&format!("refused\n{}", lines.join("\n"))) {
        Exit::Fine => Exit::Refused,
        exit => exit,
    }
}

fn why(reason: Refused) -> &'static str {
    match reason {
        Refused::Irregular => "the path is not in plain form, and the route does not allow that by name: 400",
        Refused::Case => "the same path in lower case is decided otherwise, and the app behind may ignore case: 400",
        Refused::NoRoute(Denied::Forbidden) => "no route is for it: 403",
        Refused::NoRoute(Denied::SignIn { .. }) => "no route is for it: 401",
        Refused::Denied(Denied::Forbidden) => "the rule does not let this account or network in: 403",
        Refused::Denied(Denied::SignIn { guest_would_do: true }) => "nobody is signed in; a guest would be let in: 401",
        Refused::Denied(Denied::SignIn { guest_would_do: false }) => "the rule wants somebody who is signed in: 401",
    }
}

fn sent(config: &Config, args: &Args, user: Option<&User>) -> Vec<String> {
    let headers = user.map(|user| identity_headers::headers(&config.identity_headers, user, &args.provider));
    let lines = headers.into_iter().flatten();
    lines.map(|(name, value)| format!("header  {name}: {}", value.to_str().unwrap_or_default())).collect()
}

/// What is known of the assertion: the server alone can sign it.
fn assertion(config: &Config, audience: Option<&str>, user: Option<&User>) -> Option<String> {
    if user.is_none() || config.identity_headers.preset != Preset::XAuth {
        return None;
    }
    let origin = config.public_url.as_ref().map_or("the public URL's origin", PublicUrl::origin);
    let audience = audience.unwrap_or(origin);
    Some(format!("header  x-auth-assertion: a JWT that the server signs, for the audience {audience}"))
}

/// Host and path of a target; no host for a path alone.
fn split(target: &str) -> (&str, &str) {
    let rest = target.strip_prefix("https://").or_else(|| target.strip_prefix("http://"));
    let Some(rest) = rest else { return ("", target.split('?').next().unwrap_or_default()) };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    (host, path.split('?').next().unwrap_or_default())
}

async fn find(config: &Config, account: &str) -> Result<User, Exit> {
    let store = store::open(&config.store).map_err(|error| {
        print_error(&format!("error: {error}"));
        Exit::Store
    })?;
    let found = look_up(&*store, account).await.map_err(|error| {
        print_error(&format!("error: {error}"));
        Exit::Store
    })?;
    found.ok_or_else(|| {
        print_error(&format!("error: no user {account:?}; `vestibule users list` shows them all"));
        Exit::Refused
    })
}

async fn look_up(store: &dyn Store, account: &str) -> Result<Option<User>, store::Error> {
    if let Ok(id) = account.parse() {
        return store.user(id).await;
    }
    match Email::parse(account) {
        Ok(email) => store.user_by_email(email.key()).await,
        Err(_) => Ok(None),
    }
}
