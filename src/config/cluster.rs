use std::time::Duration;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use super::value::quoted;
use crate::cluster::{Address, Settings};

/// `[cluster]`; none without `redis`.
pub(super) fn read(r: &mut Reader<'_>) -> Option<Settings> {
    let doc = "The Redis or Valkey that several instances on one store share, for revocations at once and common \
               limits. An address with a password stands elsewhere: { env = … } or { file = … }.";
    let address = r.text_or_secret("redis", None, doc, address);
    let password = r.secret("password", "The password at Redis.");
    let sentinel_user = r.text("sentinel_user", "watcher", "The account at the sentinels; absent: the default one.");
    let sentinel_password = r.secret("sentinel_password", "The password at the sentinels, which have their own.");
    let ca =
        r.path("ca", "ca.pem", "A PEM file of the authorities that count for rediss://, in place of the machine's.");
    let doc = "How keys and channels in Redis begin; installations that share one have different names.";
    let name = r.parsed("name", (Kind::Text("blog"), Some(quoted(NAME))), doc, name).unwrap_or_else(|| NAME.to_owned());
    let bounds = || Duration::from_millis(50)..=Duration::from_mins(1);
    let doc = "How long a connection to Redis may take to be made; then it counts as away.";
    let connect_timeout = r.span("connect_timeout", Duration::from_secs(2), bounds(), doc);
    let doc = "How long Redis may take to answer; then it counts as away, and limits count for each instance alone.";
    let timeout = r.span("timeout", Duration::from_millis(500), bounds(), doc);
    let given = r.has("redis");
    if let Some(key) =
        ["password", "sentinel_user", "sentinel_password", "ca"].into_iter().find(|key| !given && r.has(key))
    {
        let message = format!("`{key}` without `redis`: no Redis is named");
        r.fault(Fault::new(Code::Missing, message, r.place_of(key)).help("redis = \"rediss://redis.example.com\""));
    }
    let address = address?;
    if address.has_password() {
        refuse_password(r, password.is_some());
    }
    let askers = ["sentinel_user", "sentinel_password"].into_iter().find(|key| r.has(key));
    if let Some(key) = askers.filter(|_| !address.has_sentinels()) {
        let message = format!("`{key}` is for sentinels, and `redis` names none");
        r.fault(Fault::new(Code::Conflict, message, r.place_of(key)).help("redis-sentinel://a,b,c/name names them"));
    } else if askers == Some("sentinel_user") && !r.has("sentinel_password") {
        let message = "`sentinel_user` has no password";
        r.fault(
            Fault::new(Code::Conflict, message, r.place_of("sentinel_user"))
                .help("add sentinel_password = { env = \"NAME\" }"),
        );
    }
    if ca.is_some() && !address.is_encrypted() {
        let message = "`ca` says whom to trust, but the address is not encrypted";
        r.fault(Fault::new(Code::Conflict, message, r.place_of("ca")).help("rediss://, with two s, is"));
    }
    Some(Settings { address, password, sentinel_user, sentinel_password, ca, name, connect_timeout, timeout })
}

const NAME: &str = "vestibule";

fn address(text: &str) -> Result<Address, Trouble> {
    Address::parse(text).map_err(|error| {
        Trouble::new(Code::Form, format!("`redis` is no address of a Redis server: {error}")).help(
            "\"rediss://user@redis.example.com:6379\", \"redis-cluster://a,b,c\" or \"redis-sentinel://a,b,c/name\"",
        )
    })
}

/// It stands in patterns of access lists, where some signs mean something else.
fn name(text: &str) -> Result<String, Trouble> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Trouble::new(Code::Form, format!("\"{text}\" cannot begin keys")).help("1 to 64 letters, digits and - _ ."))
}

/// A password in the address: in the file itself, or besides another one.
fn refuse_password(r: &Reader<'_>, named_again: bool) {
    let place = r.place_of("redis");
    if r.is_in_file("redis") {
        let message = "`redis` holds a password, and so does everybody who reads the file";
        let help = "write password = { env = \"NAME\" }, or the whole redis = { env = \"NAME\" }";
        r.fault(Fault::new(Code::SecretLiteral, message, place).help(help));
    } else if named_again {
        let message = "there are two passwords: in `redis` and in `password`";
        r.fault(Fault::new(Code::Conflict, message, place).help("keep one of them"));
    }
}
