//! The configuration of oauth2-proxy, as ours.

use toml::{Table, Value};

use super::import::Toml;
use super::import_toml::quoted;
use super::operator::Failure;

/// Reads `oauth2-proxy.cfg`. What has no counterpart is listed; what would open something by a guess is refused.
pub(super) fn toml(text: &str) -> Result<Toml, Failure> {
    let table: Table = text.parse().map_err(|error| Failure::Refused(format!("not an oauth2-proxy.cfg: {error}")))?;
    let mut from = Source { table, notes: Vec::new() };
    let mut to =
        vec!["# Taken over from oauth2-proxy. Secrets are not: set the variables that are named below.".to_owned()];
    let callback = from.text("redirect_url");
    let public =
        callback.as_deref().and_then(|url| url::Url::parse(url).ok()).map(|url| url.origin().ascii_serialization());
    to.push(format!("public_url = {}", quoted(&public.unwrap_or_else(|| "https://app.example.com".to_owned()))));
    if let Some(listen) = from.text("http_address") {
        let listen = listen.trim_start_matches("http://").to_owned();
        to.push(format!("listen     = [{}]", quoted(&listen)));
    }
    let upstreams = from.texts("upstreams");
    to.push(format!(
        "upstream   = {}",
        quoted(upstreams.first().map_or("http://127.0.0.1:3000", |first| first.trim_end_matches('/')))
    ));
    for other in upstreams.iter().skip(1) {
        from.notes.push(format!("upstreams: {other} needs a route with an `upstream` of its own"));
    }
    to.push("aliases    = [\"oauth2-proxy\"]                 # its endpoint names go on answering".to_owned());
    let return_to = from.texts("whitelist_domains");
    if !return_to.is_empty() {
        let origins = return_to.iter().map(|domain| quoted(&format!("https://{}", wildcard(domain))));
        to.push(format!("return_to  = [{}]", origins.collect::<Vec<_>>().join(", ")));
    }
    session(&mut from, &mut to);
    let names = ["set_xauthrequest", "pass_user_headers"].map(|name| from.flag(name));
    if names.contains(&true) {
        to.push("\n[identity_headers]\npreset = \"x-auth-request\"".to_owned());
    }
    if from.flag("reverse_proxy") {
        from.notes.push(
            "reverse_proxy: write the addresses of your proxy under [trusted_proxies]; everybody has no form"
                .to_owned(),
        );
    }
    let provider = provider(&mut from, &mut to);
    routes(&mut from, &mut to, &provider);
    from.rest();
    Ok(Toml { text: to.join("\n"), notes: from.notes })
}

struct Source {
    table: Table,
    notes: Vec<String>,
}

impl Source {
    fn text(&mut self, name: &str) -> Option<String> {
        match self.table.remove(name)? {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A list; its names come in the singular and in the plural, its value as one text, too.
    fn texts(&mut self, name: &str) -> Vec<String> {
        let singular = self.table.remove(name.trim_end_matches('s'));
        let all = [self.table.remove(name), singular].into_iter().flatten();
        let items = all.flat_map(|value| match value {
            Value::String(text) => vec![text],
            Value::Array(items) => items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        });
        items.collect()
    }

    fn flag(&mut self, name: &str) -> bool {
        self.table.remove(name).and_then(|value| value.as_bool()).unwrap_or(false)
    }

    /// What nobody asked for.
    fn rest(&mut self) {
        for name in self.table.keys() {
            let why = match name.as_str() {
                "cookie_secret" => "is not needed; sessions of oauth2-proxy end",
                "client_secret" | "client_secret_file" => continue,
                name if name.contains("insecure") || name.contains("skip_verify") => "is not carried over: it weakens",
                _ => "has no counterpart that could be written without a guess",
            };
            self.notes.push(format!("{name} {why}"));
        }
    }
}

fn session(from: &mut Source, to: &mut Vec<String>) {
    let expire = from.text("cookie_expire").filter(|span| crate::config::parse_span(span).is_ok());
    if let Some(span) = expire {
        to.push(format!("\n[session]\nmax_lifetime = {}\nidle_timeout = {}", quoted(&span), quoted(&span)));
    }
}

/// The name of the provider, for rules.
fn provider(from: &mut Source, to: &mut Vec<String>) -> String {
    let kind = from.text("provider").unwrap_or_else(|| "google".to_owned());
    let issuer = from.text("oidc_issuer_url");
    let (name, own) = match kind.as_str() {
        "google" => ("oauth2-google", ""),
        "github" => ("github", ""),
        "entra-id" | "azure" => ("microsoft", ""),
        _ => ("corp", "type = \"oidc\"\n"),
    };
    let mut lines = format!("\n[providers.{name}]\n{own}");
    if name == "corp" {
        lines.push_str(&format!("issuer = {}\n", quoted(issuer.as_deref().unwrap_or("https://id.example.com"))));
    }
    lines.push_str(&format!("client_id = {}\n", quoted(&from.text("client_id").unwrap_or_default())));
    lines.push_str("client_secret = { env = \"OAUTH2_PROXY_CLIENT_SECRET\" }");
    if let Some(label) = from.text("provider_display_name").filter(|_| name == "corp") {
        lines.push_str(&format!("\nlabel = {}", quoted(&label)));
    }
    if let Some(scope) = from.text("scope").filter(|_| name == "corp") {
        let scopes: Vec<String> = scope.split_whitespace().map(quoted).collect();
        lines.push_str(&format!("\nscopes = [{}]", scopes.join(", ")));
    }
    let domains: Vec<String> = from.texts("email_domains").into_iter().filter(|domain| domain != "*").collect();
    if !domains.is_empty() {
        let domains: Vec<String> = domains.iter().map(|domain| quoted(domain.trim_start_matches('.'))).collect();
        lines.push_str(&format!("\nallow_domains = [{}]", domains.join(", ")));
    }
    for name in ["allowed_groups", "oidc_groups_claim", "authenticated_emails_file"] {
        if from.table.remove(name).is_some() {
            from.notes.push(format!(
                "{name}: write roles_from and role_map, and rules by role; nothing is opened by a guess"
            ));
        }
    }
    to.push(lines);
    from.notes.push(format!("register https://…/.auth/callback/{name} as a callback address at the provider"));
    name.to_owned()
}

/// The simple forms become routes; a regular expression beyond them is listed and stays closed.
fn routes(from: &mut Source, to: &mut Vec<String>, provider: &str) {
    to.push(format!("\n[routes]\n\"/**\" = {{ all = \"provider:{provider}\" }}"));
    let skipped = from.texts("skip_auth_routes").into_iter().chain(from.texts("skip_auth_regex"));
    let mut notes = Vec::new();
    for rule in skipped.collect::<Vec<_>>() {
        match simple(&rule) {
            Some((method, path)) => {
                let action = method.map_or("all = \"anyone\"".to_owned(), |method| format!("{method} = \"anyone\", all = \"provider:{provider}\""));
                to.push(format!("{} = {{ {action} }}", quoted(&path)));
            }
            None => notes.push(format!(
                "skip_auth_routes: {rule:?} is more than a path and stays closed; write a route such as \"/x\" or \"/x/**\""
            )),
        }
    }
    from.notes.extend(notes);
}

/// `^/x$`, `^/x/`, `^/x/.*`, each with `METHOD=` before it.
fn simple(rule: &str) -> Option<(Option<&str>, String)> {
    let (method, pattern) = match rule.split_once('=') {
        Some((method, pattern)) if method.bytes().all(|b| b.is_ascii_uppercase()) => (Some(method), pattern),
        _ => (None, rule),
    };
    let path = pattern.strip_prefix('^')?;
    let plain =
        |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_~".contains(&b));
    let unescaped = path.replace("\\.", "\u{0}").replace("\\-", "-").replace("\\/", "/");
    let tidy = |path: &str| path.replace('\u{0}', ".");
    let check = |path: &str| plain(&path.replace('\u{0}', "-"));
    if let Some(exact) = unescaped.strip_suffix('$').filter(|path| check(path)) {
        return Some((method, tidy(exact)));
    }
    let below = unescaped.strip_suffix(".*").unwrap_or(&unescaped).strip_suffix('/')?;
    (below.is_empty() || check(below)).then(|| (method, format!("{}/**", tidy(below))))
}

/// `.example.com` there is `*.example.com` here.
fn wildcard(domain: &str) -> String {
    domain.strip_prefix('.').map_or_else(|| domain.to_owned(), |rest| format!("*.{rest}"))
}
