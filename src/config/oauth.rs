//! Providers that people are sent to: `[providers.oauth2-google]`, `[providers.corp]` with `type = "oidc"`, and so on.

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::metadata;
use super::providers::Roles;
use super::reader::Reader;
use super::value::{as_text, no_such_word, not_empty, quoted};
use crate::provider::{AssertionAudience, OAuth, OAuthKind, Other, Proof, ResponseMode};

pub(super) fn oidc(r: &mut Reader<'_>, roles: Roles<'_>) -> Option<Other> {
    let mut settings = OAuth::new(OAuthKind::Oidc, "");
    client(r, &mut settings, "client_id");
    settings.endpoints.issuer =
        address(r, "issuer", "Who vouches, exactly as it spells itself; its document says the rest.");
    endpoints(r, &mut settings);
    settings.endpoints.end_session = address(r, "end_session_endpoint", "Where signing out goes on to, too.");
    secret_or_key(r, &mut settings);
    let modes = [("query", ResponseMode::Query), ("form_post", ResponseMode::FormPost)];
    let doc = "How its answer comes back: in the address, or in a form that its page sends.";
    settings.response_mode = r.word("response_mode", &modes, ResponseMode::default(), doc);
    algorithms(r, &mut settings);
    domains(r, &mut settings, "Domains of verified addresses that may come in; empty means all.");
    told(r, &mut settings, roles);
    // Also where every endpoint is named: id_tokens are held against it.
    if !r.has("issuer") {
        missing(r, "issuer", "issuer = \"https://id.example.com\"");
    }
    finished(r, settings, "client_id")
}

pub(super) fn google(r: &mut Reader<'_>, roles: Roles<'_>) -> Option<Other> {
    let mut settings = OAuth::new(OAuthKind::Google, "");
    client(r, &mut settings, "client_id");
    let doc = "Client ids of your own apps, whose id_tokens count, too.";
    settings.native_client_ids = texts(r, "native_client_ids", "1234-ios.apps.googleusercontent.com", doc);
    secret(r, &mut settings);
    brand_endpoints(r, &mut settings);
    domains(r, &mut settings, "Workspace domains (hd) whose accounts may come in; empty means all.");
    told(r, &mut settings, roles);
    finished(r, settings, "client_id")
}

pub(super) fn facebook(r: &mut Reader<'_>, roles: Roles<'_>) -> Option<Other> {
    let mut settings = OAuth::new(OAuthKind::Facebook, "");
    client(r, &mut settings, "client_id");
    secret(r, &mut settings);
    brand_endpoints(r, &mut settings);
    settings.endpoints.api = address(r, "graph_url", "Where the Graph API is, with its version.");
    told(r, &mut settings, roles);
    needs_secret(r, "FACEBOOK_SECRET");
    finished(r, settings, "client_id")
}

pub(super) fn apple(r: &mut Reader<'_>, roles: Roles<'_>) -> Option<Other> {
    let mut settings = OAuth::new(OAuthKind::Apple, "");
    client(r, &mut settings, "services_id");
    let doc = "Bundle ids of your own apps, whose id_tokens count, too.";
    settings.native_client_ids = texts(r, "bundle_ids", "com.example.blog", doc);
    let team_id = r.text("team_id", "DEF123GHIJ", "The team that owns the key.");
    let key_id = r.text("key_id", "ABC123DEFG", "The name of the key.");
    let private_key = r.secret("private_key", "The key itself: the .p8 file.");
    brand_endpoints(r, &mut settings);
    told(r, &mut settings, roles);
    for (key, example) in [
        ("team_id", "team_id = \"DEF123GHIJ\""),
        ("key_id", "key_id = \"ABC123DEFG\""),
        ("private_key", "private_key = { file = \"AuthKey_ABC123DEFG.p8\" }"),
    ] {
        if !r.has(key) {
            missing(r, key, example);
        }
    }
    if let (Some(team_id), Some(key_id), Some(private_key)) = (team_id, key_id, private_key) {
        settings.proof = Proof::Apple { team_id, key_id, private_key };
        usable(r, &settings);
    }
    finished(r, settings, "services_id")
}

pub(super) fn github(r: &mut Reader<'_>, roles: Roles<'_>) -> Option<Other> {
    let mut settings = OAuth::new(OAuthKind::Github, "");
    client(r, &mut settings, "client_id");
    secret(r, &mut settings);
    settings.endpoints.issuer = address(r, "issuer", "Who vouches, if it is not the brand's own address.");
    settings.endpoints.authorization = address(r, "authorization_endpoint", "Where visitors are sent.");
    settings.endpoints.token = address(r, "token_endpoint", "Where codes are exchanged.");
    settings.endpoints.api = address(r, "api_url", "Where the REST API is.");
    needs_secret(r, "GITHUB_SECRET");
    domains(r, &mut settings, "Domains of verified addresses that may come in; empty means all.");
    told(r, &mut settings, roles);
    finished(r, settings, "client_id")
}

pub(super) fn microsoft(r: &mut Reader<'_>, roles: Roles<'_>) -> Option<Other> {
    let mut settings = OAuth::new(OAuthKind::Microsoft, "");
    client(r, &mut settings, "client_id");
    secret(r, &mut settings);
    let doc = "\"common\", \"organizations\", \"consumers\", or the id or domain of one tenant.";
    let tenant = r.parsed("tenant", (Kind::Text("common"), Some(quoted("common"))), doc, |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        match !text.is_empty() && text.chars().all(plain) {
            true => Ok(text.to_owned()),
            false => Err(Trouble::new(Code::Form, "`tenant` is a word, an id or a domain")),
        }
    });
    settings.tenant = tenant.unwrap_or(settings.tenant);
    let doc = "Ids of the tenants whose accounts may come in; empty means all.";
    settings.allow_tenants = texts(r, "allow_tenants", "72f988bf-86f1-41af-91ab-2d7cd011db47", doc);
    not_everybody(r, "allow_tenants", "name a tenant");
    brand_endpoints(r, &mut settings);
    told(r, &mut settings, roles);
    finished(r, settings, "client_id")
}

fn client(r: &mut Reader<'_>, settings: &mut OAuth, id: &'static str) {
    settings.label = r.text("label", "Sign in with Example", "What its button says; without it the brand's words.");
    let id = r.text(id, "vestibule", "Who we are there.");
    settings.client_id = id.unwrap_or_default();
}

fn secret(r: &mut Reader<'_>, settings: &mut OAuth) {
    if let Some(secret) = r.secret("client_secret", "What proves it to the token endpoint.") {
        settings.proof = Proof::Secret(secret);
    }
}

fn secret_or_key(r: &mut Reader<'_>, settings: &mut OAuth) {
    secret(r, settings);
    let key = r.secret("private_key", "A key in PEM that proves it in place of a secret (private_key_jwt).");
    let key_id = r.text("key_id", "2026-11", "The key's name, as the provider knows it.");
    if r.has("private_key") && r.has("client_secret") {
        let message = "`client_secret` and `private_key` are two ways to prove the same";
        r.fault(Fault::new(Code::Conflict, message, r.place_of("private_key")).help("remove one of them"));
    }
    let words = [("issuer", AssertionAudience::Issuer), ("token_endpoint", AssertionAudience::TokenEndpoint)];
    let doc = "For whom what the key signs is: the issuer, or the token endpoint where the provider wants that.";
    let audience = r.word("assertion_audience", &words, AssertionAudience::default(), doc);
    if r.has("assertion_audience") && !r.has("private_key") {
        let message = "`assertion_audience` is for what `private_key` signs";
        r.fault(
            Fault::new(Code::Conflict, message, r.place_of("assertion_audience")).help("remove it, or name the key"),
        );
    }
    if let Some(private_key) = key {
        settings.proof = Proof::Key { private_key, key_id, audience };
        usable(r, settings);
    }
}

/// Reports a private key that cannot sign; one that has not to be there for an operator's command is not looked at.
fn usable(r: &Reader<'_>, settings: &OAuth) {
    if let Err(error) = settings.check()
        && !r.is_absent("private_key")
    {
        let fault = Fault::new(Code::Form, format!("`private_key`: {error}"), r.place_of("private_key"));
        r.fault(fault.help("another form of a good key: openssl pkcs8 -topk8 -nocrypt -in key.pem"));
    }
}

fn brand_endpoints(r: &mut Reader<'_>, settings: &mut OAuth) {
    settings.endpoints.issuer = address(r, "issuer", "Who vouches, if it is not the brand's own address.");
    endpoints(r, settings);
}

fn endpoints(r: &mut Reader<'_>, settings: &mut OAuth) {
    let own = &mut settings.endpoints;
    own.authorization = address(r, "authorization_endpoint", "Where visitors are sent.");
    own.token = address(r, "token_endpoint", "Where codes are exchanged.");
    own.userinfo = address(r, "userinfo_endpoint", "Where more is told of an account.");
    own.jwks = address(r, "jwks_uri", "Where the keys of id_tokens are.");
}

fn algorithms(r: &mut Reader<'_>, settings: &mut OAuth) {
    let known = OAuthKind::Oidc.algorithms();
    let names: Vec<&'static str> = known.iter().map(|one| one.name()).collect();
    let default = names.iter().map(quoted).collect::<Vec<_>>().join(", ");
    let kind = (Kind::List(Box::new(Kind::Words(names.clone()))), Some(format!("[{default}]")));
    let list = r.list("algorithms", kind, "How id_tokens may be signed.", |text| {
        let one = known.iter().find(|one| one.name() == text).copied();
        one.ok_or_else(|| no_such_word("algorithms", text, &names))
    });
    if r.is_empty_list("algorithms") {
        let fault = Fault::new(Code::Form, "`algorithms` is empty: no id_token would do", r.place_of("algorithms"));
        r.fault(fault.help("name one, or take the key out"));
    }
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        settings.algorithms = list.into_iter().map(|(one, _)| one).collect();
    }
}

fn domains(r: &mut Reader<'_>, settings: &mut OAuth, doc: &'static str) {
    let kind = Kind::List(Box::new(Kind::Text("example.com")));
    let list = r.list("allow_domains", (kind, Some("[]".to_owned())), doc, |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        match text.contains('.') && text.chars().all(plain) && !text.starts_with('.') {
            true => Ok(text.to_ascii_lowercase()),
            false => Err(Trouble::new(Code::Form, format!("\"{text}\" is no domain such as example.com"))),
        }
    });
    not_everybody(r, "allow_domains", "name a domain");
    settings.allow_domains = list.unwrap_or_default().into_iter().map(|(domain, _)| domain).collect();
}

/// Reports a list of whom to let in that names nobody.
fn not_everybody(r: &Reader<'_>, key: &str, way_out: &str) {
    if r.is_empty_list(key) {
        let message = format!("`{key}` is empty, which would let in everybody");
        r.fault(Fault::new(Code::Form, message, r.place_of(key)).help(format!("{way_out}, or take the key out")));
    }
}

/// Further parameters of the address that people are sent to.
fn parameters(r: &mut Reader<'_>, settings: &mut OAuth) {
    let about = "The value of this parameter, as it is.";
    let doc = "Further parameters for the authorization endpoint; none that the sign-in itself needs.";
    let all = r.named("parameters", doc, (Kind::Text("offline"), about), |item| {
        let node = item.node?;
        let value = item.accept(node, as_text(item.name, node).map(str::to_owned))?;
        if OAuth::may_ask(item.name) {
            return Some((item.name.to_owned(), value));
        }
        let trouble = Trouble::new(Code::Conflict, format!("`{}` is set by the sign-in itself", item.name));
        item.fault(if item.name == "scope" { trouble.help("write scopes = [\"openid\", …]") } else { trouble });
        None
    });
    settings.parameters = all.unwrap_or_default().into_iter().collect();
}

/// What is taken of its answer.
fn told(r: &mut Reader<'_>, settings: &mut OAuth, roles: Roles<'_>) {
    let kind = Kind::List(Box::new(Kind::Text("openid")));
    let scopes = r.list("scopes", (kind, None), "What is asked for; without it what the metadata needs.", |text| {
        match !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~')) {
            true => Ok(text.to_owned()),
            false => Err(Trouble::new(Code::Form, format!("\"{text}\" is no scope"))),
        }
    });
    settings.scopes = scopes.map(|scopes| scopes.into_iter().map(|(scope, _)| scope).collect());
    expect_openid(r, settings);
    parameters(r, settings);
    if let Some(metadata) = metadata::read(r, "metadata", Some("[\"email\", \"name\"]")) {
        settings.metadata = metadata;
    }
    settings.roles_from =
        r.text("roles_from", "groups", "Where groups or roles are in its answer; dots lead into objects.");
    let about = "The role of ours that this word of theirs stands for.";
    let doc = "Their words and our roles; without it their words count where they are declared roles.";
    let map = r.named("role_map", doc, (Kind::Text("editor"), about), |item| {
        let node = item.node?;
        let role = item.accept(node, as_text(item.name, node).and_then(|role| declared(role, roles)))?;
        Some((item.name.to_owned(), role))
    });
    settings.role_map = map.unwrap_or_default().into_iter().collect();
    settings.roles = roles.clone();
    if r.has("role_map") && !r.has("roles_from") {
        let fault = Fault::new(Code::Conflict, "`role_map` needs `roles_from`", r.place_of("role_map"));
        r.fault(fault.help("say where their words are: roles_from = \"groups\""));
    }
}

/// OpenID Connect Core 1.0 §3.1.2.1: without this scope there is no id_token, and so nobody to sign in.
fn expect_openid(r: &Reader<'_>, settings: &OAuth) {
    let needs_it = matches!(settings.kind, OAuthKind::Oidc | OAuthKind::Google | OAuthKind::Microsoft);
    let asks = settings.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| scope == "openid"));
    if needs_it && !asks {
        let fault = Fault::new(Code::Form, "`scopes` lacks \"openid\": nobody could sign in", r.place_of("scopes"));
        r.fault(fault.help("write scopes = [\"openid\", …]"));
    }
}

fn declared(role: &str, roles: Roles<'_>) -> Result<String, Trouble> {
    if roles.contains(role) {
        return Ok(role.to_owned());
    }
    let trouble = Trouble::new(Code::UndeclaredRole, format!("role \"{role}\" is not in `roles`"));
    Err(match super::suggest::nearest(role, roles.iter().map(String::as_str)) {
        Some(near) => trouble.help(format!("did you mean \"{near}\"?")),
        None => trouble.help(format!("add it: roles = [\"{role}\"]")),
    })
}

fn texts(r: &mut Reader<'_>, key: &'static str, example: &'static str, doc: &'static str) -> Vec<String> {
    let kind = (Kind::List(Box::new(Kind::Text(example))), Some("[]".to_owned()));
    let list = r.list(key, kind, doc, |text| not_empty(key, text).map(str::to_owned));
    list.unwrap_or_default().into_iter().map(|(text, _)| text).collect()
}

/// An address of a provider, as it is written: issuers are compared by the letter.
fn address(r: &mut Reader<'_>, key: &'static str, doc: &'static str) -> Option<String> {
    let found = r.parsed(key, (Kind::Text("https://id.example.com"), None), doc, |text| {
        let form = || Trouble::new(Code::Form, format!("`{key}` is not an address such as https://id.example.com"));
        let url = url::Url::parse(text).map_err(|_| form())?;
        let plain = url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if !plain || !matches!(url.scheme(), "https" | "http") {
            return Err(form());
        }
        // Paths are added to these; an issuer has no query (OpenID Connect Discovery 1.0 §2).
        if key.ends_with("_url") && text.ends_with('/') {
            return Err(form().help("without the slash at the end"));
        }
        if (key.ends_with("_url") || key == "issuer") && url.query().is_some() {
            return Err(form().help("without a query"));
        }
        Ok((text.to_owned(), url.as_str().parse().map_err(|_| form())?))
    });
    let (text, uri) = found?;
    r.asks(key, &uri);
    Some(text)
}

fn missing(r: &Reader<'_>, key: &str, example: &str) {
    r.fault(Fault::new(Code::Missing, format!("`{key}` is missing"), r.place.clone()).help(format!("write {example}")));
}

/// A brand whose token endpoint answers nobody without one.
fn needs_secret(r: &Reader<'_>, name: &str) {
    if !r.has("client_secret") {
        missing(r, "client_secret", &format!("client_secret = {{ env = \"{name}\" }}"));
    }
}

fn finished(r: &Reader<'_>, settings: OAuth, id: &str) -> Option<Other> {
    if !r.has(id) {
        missing(r, id, &format!("{id} = \"…\""));
    }
    (!settings.client_id.is_empty()).then(|| Other::OAuth(Box::new(settings)))
}
