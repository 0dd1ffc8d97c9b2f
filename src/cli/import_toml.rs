//! The configuration of an App Services app, as ours.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::import::{Toml, read};
use super::import_users::text;
use super::operator::Failure;

/// What the export says of the app.
pub(super) struct App {
    providers: Map<String, Value>,
    root: Map<String, Value>,
    custom: Map<String, Value>,
    has_functions: bool,
}

impl App {
    /// Reads the folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let object = |path: &Path| -> Result<Map<String, Value>, Failure> {
            serde_json::from_str(&read(path)?).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
        };
        let optional = |name: &str| match folder.join(name) {
            path if path.exists() => object(&path).map(Some),
            _ => Ok(None),
        };
        let root = match optional("root_config.json")? {
            Some(root) => root,
            None => optional("realm_config.json")?.unwrap_or_default(),
        };
        Ok(Self {
            providers: object(&folder.join("auth/providers.json"))?,
            root,
            custom: optional("auth/custom_user_data.json")?.unwrap_or_default(),
            has_functions: folder.join("functions").is_dir(),
        })
    }

    /// Which field of the custom user data names the user.
    pub(super) fn user_id_field(&self) -> String {
        text(&self.custom, "user_id_field").unwrap_or_else(|| "user_id".to_owned())
    }

    /// Whether an address counted only after a mail to it was answered.
    pub(super) fn proves_addresses(&self) -> bool {
        let local = self.config("local-userpass");
        !is(&local, "autoConfirm") && !is(&local, "runConfirmationFunction")
    }

    fn config(&self, provider: &str) -> Map<String, Value> {
        let provider = self.providers.get(provider).and_then(Value::as_object);
        provider.and_then(|provider| provider.get("config")?.as_object()).cloned().unwrap_or_default()
    }
}

/// The configuration, and what is not in it.
pub(super) fn of(app: &App) -> Toml {
    let mut to = Writer::default();
    to.line("# Taken over from App Services. Secrets never leave it: set the variables that are named below.");
    to.line("public_url = \"https://blog.example.com\"        # what visitors type");
    to.line("upstream   = \"http://127.0.0.1:3000\"           # the app behind");
    to.line("\n[app_services]");
    let app_id = text(&app.root, "app_id").or_else(|| text(&app.root, "name")).unwrap_or_default();
    to.line(&format!("app_id = {}", quoted(&app_id)));
    if let Some(origins) = texts(app.root.get("allowed_request_origins")) {
        to.line(&format!("allowed_origins = {origins}"));
    }
    if let Some(uris) = redirect_uris(&app.providers) {
        to.line(&format!("redirect_uris = {uris}"));
    }
    if app.has_functions {
        to.line("functions = \"functions\"");
        to.note("functions: copy the folder `functions` beside the configuration file".to_owned());
    }
    if let Some(function) = text(&app.custom, "on_user_creation_function_name") {
        to.line(&format!("\n[providers]\non_user_created = {{ javascript = {} }}", quoted(&file_of(&function))));
        to.note("on_user_created is told a moment later and cannot undo a registration; there it could".to_owned());
    }
    for (name, provider) in &app.providers {
        let Some(provider) = provider.as_object() else { continue };
        let kind = text(provider, "type").unwrap_or_else(|| name.clone());
        if is(provider, "disabled") {
            to.note(format!("{name} is disabled there and not taken over"));
            continue;
        }
        to.provider(&kind, provider, &app.config(name), &app_id);
    }
    if is(&app.custom, "enabled") {
        to.note(
            "custom user data stays in its collection; --custom-data FILE takes a copy of it into custom_data"
                .to_owned(),
        );
    }
    to.note("passwords cannot be exported there: reset mails set new ones".to_owned());
    Toml { text: to.text, notes: to.notes }
}

#[derive(Default)]
struct Writer {
    text: String,
    notes: Vec<String>,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn provider(&mut self, kind: &str, provider: &Map<String, Value>, config: &Map<String, Value>, app_id: &str) {
        if !KINDS.contains(&kind) {
            self.note(format!("{kind} is not known here"));
            return;
        }
        if kind == "oauth2-apple" {
            return self.apple(provider, config);
        }
        if kind == "oauth2-facebook" && domains(provider).is_some() {
            return self.restricted_facebook(provider, config);
        }
        self.line(&format!("\n[providers.{kind}]"));
        match kind {
            "local-userpass" => self.local(config),
            "custom-token" => self.custom_token(provider, config, app_id),
            "custom-function" => {
                if let Some(function) = text(config, "authFunctionName") {
                    self.line(&format!("javascript = {}", quoted(&file_of(&function))));
                }
            }
            "oauth2-google" | "oauth2-facebook" => self.oauth(kind, provider, config),
            _ => {}
        }
    }

    fn local(&mut self, config: &Map<String, Value>) {
        self.line("sign_up = \"open\"");
        self.line("min_length = 8                                # there it was 6");
        let function = |name: &str| text(config, name).map(|function| file_of(&function));
        if is(config, "autoConfirm") {
            self.line("confirm = \"automatic\"");
        } else if is(config, "runConfirmationFunction")
            && let Some(function) = function("confirmationFunctionName")
        {
            self.line("confirm = \"function\"");
            self.line(&format!("confirm_function = {{ javascript = {} }}", quoted(&function)));
        }
        if is(config, "runResetFunction")
            && let Some(function) = function("resetFunctionName")
        {
            self.line("reset = \"function\"");
            self.line(&format!("reset_function = {{ javascript = {} }}", quoted(&function)));
        }
        for (theirs, ours) in [("emailConfirmationUrl", "confirm_url"), ("resetPasswordUrl", "reset_url")] {
            if let Some(url) = text(config, theirs) {
                self.line(&format!("{ours} = {}", quoted(&url)));
            }
        }
        for subject in ["confirmEmailSubject", "resetPasswordSubject"] {
            if let Some(text) = text(config, subject) {
                self.note(format!("{subject} = {text:?}: subjects of mails are ours"));
            }
        }
    }

    fn custom_token(&mut self, provider: &Map<String, Value>, config: &Map<String, Value>, app_id: &str) {
        if is(config, "useJWKURI") {
            self.line(&format!("jwks_uri = {}", quoted(&text(config, "jwkURI").unwrap_or_default())));
            self.line("algorithms = [\"RS256\"]");
        } else {
            let algorithm = text(config, "signingAlgorithm").unwrap_or_else(|| "HS256".to_owned());
            let secrets = provider.get("secret_config").and_then(|secret| secret.get("signingKeys"));
            let names = secrets.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let symmetric = algorithm.starts_with("HS");
            let keys: Vec<String> = names
                .map(|name| match symmetric {
                    true => format!("{{ secret = {} }}", reference(name)),
                    false => format!("{{ public_key = {} }}", quoted(&format!("{name}.pem"))),
                })
                .collect();
            if !symmetric {
                self.note("custom-token: write each public key (PEM) to the file that `keys` names".to_owned());
            }
            self.line(&format!("keys = [{}]", keys.join(", ")));
            self.line(&format!("algorithms = [{}]", quoted(&algorithm)));
        }
        // Without a word the audience was the app itself there; here it would be anybody.
        let named = texts(config.get("audience")).filter(|list| list != "[]");
        self.line(&format!("audience = {}", named.unwrap_or_else(|| format!("[{}]", quoted(app_id)))));
        if is(config, "requireAnyAudience") {
            self.line("audience_match = \"any\"");
        }
        let fields = metadata(provider, |field| {
            let path = quoted(&text(field, "name").unwrap_or_default());
            let name = text(field, "field_name").map(|name| format!(", field = {}", quoted(&name))).unwrap_or_default();
            let required = if is(field, "required") { ", required = true" } else { "" };
            format!("{{ path = {path}{name}{required} }}")
        });
        if let Some(fields) = fields {
            self.line(&format!("metadata = [{fields}]"));
        }
    }

    /// A comment: there the client secret was made elsewhere, here it is minted by a key that no export has.
    fn apple(&mut self, provider: &Map<String, Value>, config: &Map<String, Value>) {
        let services_id = quoted(&text(config, "clientId").unwrap_or_default());
        self.line("\n# [providers.oauth2-apple]                  # fill in, and take the # away");
        self.line(&format!("# services_id = {services_id}"));
        self.line("# team_id     = \"DEF123GHIJ\"");
        self.line("# key_id      = \"ABC123DEFG\"");
        self.line("# private_key = { file = \"AuthKey_ABC123DEFG.p8\" }");
        if let Some(fields) = metadata(provider, |field| quoted(&text(field, "name").unwrap_or_default())) {
            self.line(&format!("# metadata    = [{fields}]"));
        }
        self.note(
            "oauth2-apple is off until team_id, key_id and private_key are written: its client secret is minted here"
                .to_owned(),
        );
        self.note(
            "oauth2-apple: register https://…/.auth/callback/oauth2-apple as a callback address there".to_owned(),
        );
    }

    /// A comment: Facebook does not say whether an address was verified, so what kept strangers out there would not here.
    fn restricted_facebook(&mut self, provider: &Map<String, Value>, config: &Map<String, Value>) {
        let mut own = Self::default();
        own.oauth("oauth2-facebook", provider, config);
        self.line("\n# [providers.oauth2-facebook]               # for everybody who has an account there");
        own.text.lines().for_each(|line| self.line(&format!("# {line}")));
        self.notes.extend(own.notes);
        let list = domains(provider).unwrap_or_default();
        self.note(format!(
            "oauth2-facebook is off: domain_restrictions = {list} cannot be held, for nobody vouches for addresses there"
        ));
    }

    fn oauth(&mut self, kind: &str, provider: &Map<String, Value>, config: &Map<String, Value>) {
        self.line(&format!("client_id = {}", quoted(&text(config, "clientId").unwrap_or_default())));
        let secret = provider.get("secret_config").and_then(|secret| secret.get("clientSecret")?.as_str());
        self.line(&format!("client_secret = {}", reference(secret.unwrap_or("CLIENT_SECRET"))));
        if let Some(fields) = metadata(provider, |field| quoted(&text(field, "name").unwrap_or_default())) {
            self.line(&format!("metadata = [{fields}]"));
        }
        // `openId` has no counterpart: id_tokens always count here.
        if let Some(list) = domains(provider).filter(|_| kind == "oauth2-google") {
            self.line(&format!("allow_domains = {list}"));
        }
        self.note(format!("{kind}: register https://…/.auth/callback/{kind} as a callback address there"));
    }
}

/// `domain_restrictions`, if there are any.
fn domains(provider: &Map<String, Value>) -> Option<String> {
    texts(provider.get("domain_restrictions")).filter(|list| list != "[]")
}

/// Where popups of any provider may return to: one list here.
fn redirect_uris(providers: &Map<String, Value>) -> Option<String> {
    let lists = providers.values().filter_map(|provider| provider.get("redirect_uris")?.as_array());
    let uris: BTreeSet<String> = lists.flatten().filter_map(Value::as_str).map(quoted).collect();
    (!uris.is_empty()).then(|| format!("[{}]", Vec::from_iter(uris).join(", ")))
}

/// Where a function of the export is.
fn file_of(function: &str) -> String {
    format!("functions/{function}.js")
}

fn metadata(provider: &Map<String, Value>, show: impl Fn(&Map<String, Value>) -> String) -> Option<String> {
    let fields = provider.get("metadata_fields")?.as_array()?.iter().filter_map(Value::as_object);
    let fields: Vec<String> = fields.map(show).collect();
    (!fields.is_empty()).then(|| fields.join(", "))
}

fn is(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// A list of texts, or one text, as TOML.
fn texts(value: Option<&Value>) -> Option<String> {
    let items: Vec<String> = match value? {
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => vec![quoted(text)],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(quoted).collect(),
        _ => return None,
    };
    Some(format!("[{}]", items.join(", ")))
}

/// Text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A reference in place of a secret, by a name that is one of the environment.
pub(super) fn reference(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("{{ env = \"{name}\" }}")
}

const KINDS: [&str; 8] = [
    "anon-user",
    "local-userpass",
    "api-key",
    "oauth2-google",
    "oauth2-facebook",
    "oauth2-apple",
    "custom-token",
    "custom-function",
];
