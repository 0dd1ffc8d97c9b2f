//! An authority that issues certificates by ACME (RFC 8555) to whoever proves a name over TLS (RFC 8737).

use std::collections::HashSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use serde_json::{Value, json};

use super::upstream::Recorded;
use super::{Answer, PATIENCE, RecordingUpstream};

/// An authority on loopback. It checks signatures, nonces and proofs, so that a client that is wrong fails here, too.
pub struct FakeAuthority {
    app: RecordingUpstream,
    inner: Arc<Inner>,
}

struct Inner {
    root: CertifiedIssuer<'static, KeyPair>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    url: String,
    /// Where every name leads, as far as it is known yet.
    target: Option<SocketAddr>,
    /// From how long ago and for how long certificates are issued.
    past: Duration,
    future: Duration,
    window: Option<(SystemTime, SystemTime)>,
    nonces: HashSet<String>,
    made: usize,
    /// The public key of each account.
    accounts: Vec<Value>,
    contacts: Vec<Value>,
    orders: Vec<Order>,
}

struct Order {
    names: Vec<String>,
    replaces: Value,
    proved: Vec<Option<bool>>,
    chain: Option<String>,
}

impl FakeAuthority {
    /// Issues for ninety days from now.
    pub fn start() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let app = RecordingUpstream::start();
        let state = State { url: app.url(), future: 90 * DAY, ..State::default() };
        let inner = Arc::new(Inner { root, state: Mutex::new(state), changed: Condvar::new() });
        let shared = inner.clone();
        app.script(move |request| shared.answer(request));
        Self { app, inner }
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("{}/directory", self.app.url())
    }

    /// What vouches for its certificates.
    pub fn root(&self) -> CertificateDer<'static> {
        self.inner.root.der().clone()
    }

    /// Every name leads there from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.inner.state.lock().unwrap().target = Some(target);
        self.inner.changed.notify_all();
    }

    /// Certificates are issued so many days ago for so many days to come.
    pub fn issue_for(&self, past: u32, future: u32) {
        let mut state = self.inner.state.lock().unwrap();
        (state.past, state.future) = (past * DAY, future * DAY);
    }

    /// When to renew, whatever the certificate.
    pub fn renew_within(&self, begins: SystemTime, ends: SystemTime) {
        self.inner.state.lock().unwrap().window = Some((begins, ends));
    }

    /// No account is known any more.
    pub fn forget_accounts(&self) {
        self.inner.state.lock().unwrap().accounts.clear();
    }

    /// The names of every order so far.
    pub fn orders(&self) -> Vec<Vec<String>> {
        self.inner.state.lock().unwrap().orders.iter().map(|order| order.names.clone()).collect()
    }

    /// Which certificate the latest order is to replace.
    pub fn replaced(&self) -> Value {
        self.inner.state.lock().unwrap().orders.last().unwrap().replaces.clone()
    }

    /// The contacts of every account.
    pub fn contacts(&self) -> Vec<Value> {
        self.inner.state.lock().unwrap().contacts.clone()
    }
}

impl Inner {
    fn answer(&self, request: &Recorded) -> Answer {
        let path = request.target.trim_start_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let number = |at: usize| parts.get(at).and_then(|part| part.parse::<usize>().ok()).unwrap_or(usize::MAX);
        let answer = match parts[0] {
            "directory" => self.directory(),
            "nonce" => Answer::status(200, ""),
            "renewal" => self.renewal(),
            kind => match self.verify(request) {
                Err(problem) => fault(400, problem),
                Ok((account, payload)) => match kind {
                    "new-account" => self.account(&account, &payload),
                    "new-order" => self.new_order(&payload),
                    "order" => self.order(number(1), 200),
                    "authorization" => self.authorization(number(1), number(2)),
                    "challenge" => self.challenge(number(1), number(2), &account),
                    "finalize" => self.finalize(number(1), &payload),
                    "certificate" => self.certificate(number(1)),
                    _ => fault(404, "malformed"),
                },
            },
        };
        let mut state = self.state.lock().unwrap();
        state.made += 1;
        let nonce = format!("nonce-{}", state.made);
        state.nonces.insert(nonce.clone());
        answer.header("replay-nonce", nonce)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.state.lock().unwrap().url)
    }

    fn directory(&self) -> Answer {
        let mut names = json!({ "newNonce": "nonce", "newAccount": "new-account", "newOrder": "new-order" });
        if self.state.lock().unwrap().window.is_some() {
            names["renewalInfo"] = json!("renewal");
        }
        let names = names.as_object().unwrap().clone();
        let urls = names.into_iter().map(|(name, path)| (name, json!(self.url(path.as_str().unwrap())))).collect();
        object(200, &Value::Object(urls))
    }

    fn renewal(&self) -> Answer {
        let (begins, ends) = self.state.lock().unwrap().window.unwrap();
        let text = |time: SystemTime| {
            let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            vestibule::clock::Timestamp::from_seconds(seconds.try_into().unwrap()).to_string()
        };
        let window = json!({ "start": text(begins), "end": text(ends) });
        object(200, &json!({ "suggestedWindow": window })).header("retry-after", "21600")
    }

    /// The key of the account that has signed, and what it says (RFC 8555 §6.2).
    fn verify(&self, request: &Recorded) -> Result<(Value, Value), &'static str> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| "malformed")?;
        let part = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let decode = |name: &str| BASE64.decode(part(name)).unwrap_or_default();
        let protected: Value = serde_json::from_slice(&decode("protected")).map_err(|_| "malformed")?;
        let mut state = self.state.lock().unwrap();
        if !state.nonces.remove(protected["nonce"].as_str().unwrap_or_default()) {
            return Err("badNonce");
        }
        assert_eq!(protected["url"], json!(format!("{}{}", state.url, request.target)));
        let known = protected["kid"].as_str().map(|kid| kid.rsplit('/').next().unwrap().parse::<usize>().unwrap());
        let key = match known {
            Some(number) => state.accounts.get(number).cloned().ok_or("accountDoesNotExist")?,
            None => protected["jwk"].clone(),
        };
        let coordinate = |name: &str| BASE64.decode(key[name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let signed = format!("{}.{}", part("protected"), part("payload"));
        let key_of_account = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key_of_account.verify(signed.as_bytes(), &decode("signature")).map_err(|_| "unauthorized")?;
        Ok((key, serde_json::from_slice(&decode("payload")).unwrap_or_default()))
    }

    fn account(&self, key: &Value, payload: &Value) -> Answer {
        assert_eq!(payload["termsOfServiceAgreed"], true);
        let mut state = self.state.lock().unwrap();
        state.accounts.push(key.clone());
        state.contacts.push(payload["contact"].clone());
        let location = format!("{}/account/{}", state.url, state.accounts.len() - 1);
        object(201, &json!({ "status": "valid" })).header("location", location)
    }

    fn new_order(&self, payload: &Value) -> Answer {
        let identifiers = payload["identifiers"].as_array().unwrap();
        let names: Vec<_> = identifiers.iter().map(|name| name["value"].as_str().unwrap().to_owned()).collect();
        let number = {
            let mut state = self.state.lock().unwrap();
            let (proved, replaces) = (vec![None; names.len()], payload["replaces"].clone());
            state.orders.push(Order { names, replaces, proved, chain: None });
            state.orders.len() - 1
        };
        self.order(number, 201).header("location", self.url(&format!("order/{number}")))
    }

    fn order(&self, number: usize, status: u16) -> Answer {
        let state = self.state.lock().unwrap();
        let Some(order) = state.orders.get(number) else { return fault(404, "malformed") };
        let url = &state.url;
        let stands = match &order.chain {
            Some(_) => "valid",
            None if order.proved.contains(&Some(false)) => "invalid",
            None if order.proved.iter().all(|proved| *proved == Some(true)) => "ready",
            None => "pending",
        };
        let authorizations: Vec<_> =
            (0..order.names.len()).map(|at| format!("{url}/authorization/{number}/{at}")).collect();
        let mut text = json!({
            "status": stands, "authorizations": authorizations, "finalize": format!("{url}/finalize/{number}"),
        });
        if !order.replaces.is_null() {
            text["replaces"] = order.replaces.clone();
        }
        if order.chain.is_some() {
            text["certificate"] = json!(format!("{url}/certificate/{number}"));
        }
        object(status, &text)
    }

    fn authorization(&self, number: usize, at: usize) -> Answer {
        let state = self.state.lock().unwrap();
        let (order, url) = (&state.orders[number], &state.url);
        let status = match order.proved[at] {
            None => "pending",
            Some(true) => "valid",
            Some(false) => "invalid",
        };
        let mut challenge = json!({
            "type": "tls-alpn-01", "url": format!("{url}/challenge/{number}/{at}"), "status": status,
            "token": token(number, at),
        });
        if order.proved[at] == Some(false) {
            challenge["error"] = json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": DETAIL });
        }
        let other = json!({ "type": "dns-01", "url": format!("{url}/none"), "status": "pending", "token": "t" });
        let identifier = json!({ "type": "dns", "value": order.names[at] });
        object(200, &json!({ "status": status, "identifier": identifier, "challenges": [other, challenge] }))
    }

    fn challenge(&self, number: usize, at: usize, account: &Value) -> Answer {
        let (name, target) = {
            let state = self.state.lock().unwrap();
            let unknown = |state: &mut State| state.target.is_none();
            let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, unknown).unwrap();
            (state.orders[number].names[at].clone(), state.target.unwrap())
        };
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, account["x"], account["y"]);
        let answer = format!("{}.{}", token(number, at), BASE64.encode(digest(&SHA256, thumbprint.as_bytes())));
        let proved = shows(target, &name, digest(&SHA256, answer.as_bytes()).as_ref());
        self.state.lock().unwrap().orders[number].proved[at] = Some(proved);
        let url = self.url(&format!("challenge/{number}/{at}"));
        object(200, &json!({ "type": "tls-alpn-01", "url": url, "status": "processing", "token": token(number, at) }))
    }

    fn finalize(&self, number: usize, payload: &Value) -> Answer {
        let request = BASE64.decode(payload["csr"].as_str().unwrap()).unwrap();
        let mut request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request)).unwrap();
        {
            let mut state = self.state.lock().unwrap();
            let now = SystemTime::now();
            request.params.not_before = (now - state.past).into();
            request.params.not_after = (now + state.future).into();
            request.params.use_authority_key_identifier_extension = true;
            let chain = request.signed_by(&self.root).unwrap().pem() + &self.root.pem();
            state.orders[number].chain = Some(chain);
        }
        self.order(number, 200)
    }

    fn certificate(&self, number: usize) -> Answer {
        let state = self.state.lock().unwrap();
        Answer::status(200, state.orders[number].chain.clone().unwrap())
    }
}

/// Whether whoever answers there shows this proof for this name, in a handshake of its own kind (RFC 8737 §3).
pub fn shows(target: SocketAddr, name: &str, proof: &[u8]) -> bool {
    let seen = Arc::new(Seen::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.dangerous().with_custom_certificate_verifier(seen.clone()).with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let mut connection =
        ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut stream = TcpStream::connect(target).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            return false;
        }
    }
    let _ = stream.flush();
    assert_eq!(connection.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    let shown = seen.0.lock().unwrap().clone().unwrap();
    // The OID of the extension (id-pe-acmeIdentifier), marked as critical, and the digest as an octet string.
    let wanted = [&[6, 8, 43, 6, 1, 5, 5, 7, 1, 31, 1, 1, 255, 4, 34, 4, 32][..], proof].concat();
    shown.windows(wanted.len()).any(|window| window == wanted)
}

/// Takes every certificate and remembers it.
#[derive(Debug, Default)]
struct Seen(Mutex<Option<Vec<u8>>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(certificate.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn token(number: usize, at: usize) -> String {
    format!("token-{number}-{at}")
}

fn object(status: u16, text: &Value) -> Answer {
    Answer::status(status, text.to_string()).header("content-type", "application/json")
}

fn fault(status: u16, problem: &str) -> Answer {
    let text = json!({ "type": format!("urn:ietf:params:acme:error:{problem}"), "detail": problem, "status": status });
    Answer::status(status, text.to_string()).header("content-type", "application/problem+json")
}

/// What is said of a name that leads elsewhere.
pub const DETAIL: &str = "the name leads to somebody else";
const DAY: Duration = Duration::from_hours(24);
