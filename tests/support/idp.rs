//! An identity provider that plays along, or as badly as a test wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::signer::Signer;
use super::upstream::Recorded;
use super::{Answer, RecordingUpstream};

type Script = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

/// A provider on loopback: discovery, key set, authorization by consent of [`FakeIdp::person`], tokens, userinfo.
///
/// Its own way is right in everything; [`FakeIdp::replace`] makes any endpoint answer otherwise. It checks what a
/// provider has to check (code once, PKCE, redirect address), so that a client that is wrong fails here, too.
pub struct FakeIdp {
    app: RecordingUpstream,
    state: Arc<Mutex<State>>,
}

struct State {
    issuer: String,
    signer: Signer,
    /// What the key set holds.
    keys: Vec<Value>,
    person: Map<String, Value>,
    replaced: BTreeMap<String, Script>,
    codes: BTreeMap<String, BTreeMap<String, String>>,
    made: usize,
}

impl FakeIdp {
    /// With one EC key and a person called Ann.
    pub fn start() -> Self {
        Self::signing_with(Signer::ec("first"))
    }

    /// With this key.
    pub fn signing_with(signer: Signer) -> Self {
        let person = json!({
            "sub": "ann-7", "email": "ann@example.com", "email_verified": true, "name": "Ann", "given_name": "Ann",
        });
        let state = Arc::new(Mutex::new(State {
            issuer: String::new(),
            keys: vec![signer.jwk()],
            signer,
            person: person.as_object().unwrap().clone(),
            replaced: BTreeMap::new(),
            codes: BTreeMap::new(),
            made: 0,
        }));
        let app = RecordingUpstream::start();
        state.lock().unwrap().issuer = app.url();
        let shared = state.clone();
        app.script(move |request| {
            let path = path_of(request).to_owned();
            let replaced = shared.lock().unwrap().replaced.get(&path).cloned();
            match replaced {
                Some(script) => script(request),
                None => shared.lock().unwrap().answer(&path, request),
            }
        });
        Self { app, state }
    }

    /// Its name, and where it is.
    pub fn issuer(&self) -> String {
        self.app.url()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app.url())
    }

    /// What it does underneath: stop, restart, count.
    pub fn app(&self) -> &RecordingUpstream {
        &self.app
    }

    /// The key it signs with.
    pub fn signer(&self) -> Signer {
        self.state.lock().unwrap().signer.clone()
    }

    /// A token with these claims, issued now for five minutes; what is given wins, null takes away.
    pub fn token(&self, claims: &Value) -> String {
        let claims = self.claims(claims);
        self.signer().sign(&claims)
    }

    /// The claims of such a token.
    pub fn claims(&self, claims: &Value) -> Value {
        let now = now();
        let mut all = json!({ "iss": self.issuer(), "sub": "ann-7", "iat": now, "exp": now + 300 });
        for (name, value) in claims.as_object().unwrap() {
            match value {
                Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
                value => all[name] = value.clone(),
            }
        }
        all
    }

    /// Signs with this key from now on, and publishes it beside the others.
    pub fn rotate(&self, signer: Signer) {
        let mut state = self.state.lock().unwrap();
        state.keys.push(signer.jwk());
        state.signer = signer;
    }

    /// Publishes exactly these keys.
    pub fn publish(&self, keys: &[Value]) {
        self.state.lock().unwrap().keys = keys.to_vec();
    }

    /// Who consents from now on; `sid` in it is for the token as it is.
    pub fn person(&self, claims: &Value) {
        self.state.lock().unwrap().person = claims.as_object().unwrap().clone();
    }

    /// Answers otherwise at this path from now on: without [`Answer::held`] at once, of any size, as often as asked.
    pub fn replace(&self, path: &str, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        self.state.lock().unwrap().replaced.insert(path.to_owned(), Arc::new(script));
    }

    /// Answers as it should again.
    pub fn restore(&self, path: &str) {
        self.state.lock().unwrap().replaced.remove(path);
    }

    /// The requests for this path so far.
    pub fn requests(&self, path: &str) -> Vec<Recorded> {
        self.app.requests().into_iter().filter(|request| path_of(request) == path).collect()
    }

    /// How many requests for this path there were.
    pub fn count(&self, path: &str) -> usize {
        self.requests(path).len()
    }
}

/// An answer in JSON.
pub fn json_answer(status: u16, body: &Value) -> Answer {
    let response = http::Response::builder().status(status).header("content-type", "application/json");
    Answer::Full(response.body(body.to_string().into()).unwrap())
}

/// The fields of a form or a query.
pub fn fields(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn path_of(request: &Recorded) -> &str {
    request.target.split('?').next().unwrap_or_default()
}

impl State {
    fn answer(&mut self, path: &str, request: &Recorded) -> Answer {
        match path {
            "/.well-known/openid-configuration" => json_answer(200, &self.discovery()),
            "/jwks" => json_answer(200, &json!({ "keys": self.keys })),
            "/authorize" => self.authorize(request),
            "/token" => self.exchange(request),
            "/userinfo" => match request.header("authorization").strip_prefix("Bearer access-") {
                Some(_) => json_answer(200, &Value::Object(self.person.clone())),
                None => json_answer(401, &json!({ "error": "invalid_token" })),
            },
            "/end_session" => Answer::text("signed out"),
            _ => Answer::status(404, "no such page"),
        }
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "end_session_endpoint": at("/end_session"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.signer.alg],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "scopes_supported": ["openid", "email", "profile"],
        })
    }

    /// The person consents at once.
    fn authorize(&mut self, request: &Recorded) -> Answer {
        let asked = fields(request.target.split_once('?').map_or("", |(_, query)| query));
        let (Some(back), Some(state)) = (asked.get("redirect_uri").cloned(), asked.get("state").cloned()) else {
            return Answer::status(400, "redirect_uri and state are needed");
        };
        self.made += 1;
        let code = format!("code-{}", self.made);
        let form_post = asked.get("response_mode").is_some_and(|mode| mode == "form_post");
        self.codes.insert(code.clone(), asked);
        let answer = [("code", code.as_str()), ("state", &state), ("iss", &self.issuer)];
        if form_post {
            let inputs: String =
                answer.iter().map(|(name, value)| format!("<input name=\"{name}\" value=\"{value}\">")).collect();
            let script = "<script>document.forms[0].submit()</script>";
            let page = format!("<form method=\"post\" action=\"{back}\">{inputs}</form>{script}");
            return Answer::Full(
                http::Response::builder().header("content-type", "text/html").body(page.into()).unwrap(),
            );
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
        let separator = if back.contains('?') { '&' } else { '?' };
        Answer::Full(
            http::Response::builder()
                .status(302)
                .header("location", format!("{back}{separator}{query}"))
                .body(Default::default())
                .unwrap(),
        )
    }

    fn exchange(&mut self, request: &Recorded) -> Answer {
        let sent = fields(&String::from_utf8_lossy(&request.body));
        let wrong = |error: &str| json_answer(400, &json!({ "error": error }));
        match sent.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                let Some(asked) = sent.get("code").and_then(|code| self.codes.remove(code)) else {
                    return wrong("invalid_grant");
                };
                let verifier = sent.get("code_verifier").cloned().unwrap_or_default();
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
                let challenge = URL_SAFE_NO_PAD.encode(hash);
                if asked.get("code_challenge") != Some(&challenge)
                    || asked.get("redirect_uri") != sent.get("redirect_uri")
                    || asked.get("client_id") != client(request, &sent).as_ref()
                {
                    return wrong("invalid_grant");
                }
                self.tokens(asked.get("client_id").cloned().unwrap_or_default(), asked.get("nonce"))
            }
            Some("refresh_token") if sent.get("refresh_token").is_some_and(|token| token.starts_with("refresh-")) => {
                self.tokens(client(request, &sent).unwrap_or_default(), None)
            }
            Some("refresh_token") => wrong("invalid_grant"),
            _ => wrong("unsupported_grant_type"),
        }
    }

    fn tokens(&mut self, audience: String, nonce: Option<&String>) -> Answer {
        self.made += 1;
        let access_token = format!("access-{}", self.made);
        let mut claims = Value::Object(self.person.clone());
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access_token.as_bytes());
        let now = now();
        for (name, value) in
            [("iss", json!(self.issuer)), ("aud", json!(audience)), ("iat", json!(now)), ("exp", json!(now + 300))]
        {
            claims[name] = value;
        }
        if claims.get("sid").is_none() {
            claims["sid"] = json!(format!("sid-{}", self.made));
        }
        if self.signer.alg.ends_with("256") {
            claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        json_answer(
            200,
            &json!({
                "token_type": "Bearer",
                "access_token": access_token,
                "refresh_token": format!("refresh-{}", self.made),
                "expires_in": 300,
                "id_token": self.signer.sign(&claims),
            }),
        )
    }
}

/// Who asks: by Basic (RFC 6749 §2.3.1), in the form, or by what signs for him.
fn client(request: &Recorded, sent: &BTreeMap<String, String>) -> Option<String> {
    let header = request.header("authorization");
    if let Some(encoded) = header.strip_prefix("Basic ") {
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (id, _) = text.split_once(':')?;
        return fields(&format!("id={id}")).remove("id");
    }
    if let Some(id) = sent.get("client_id") {
        return Some(id.clone());
    }
    let payload = sent.get("client_assertion")?.split('.').nth(1)?.to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims["sub"].as_str().map(str::to_owned)
}
