//! `[tls]`: certificates from files, or from an authority.

use std::path::Path;

use url::Host;

use super::Config;
use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use super::value::quoted;
use crate::account::email::Email;
use crate::acme::{ExternalAccount, LETS_ENCRYPT, Settings};
use crate::fetch;
use crate::listen::Tls;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    Files,
    Acme,
}

/// `[tls]`. What an authority is asked for without being told is filled in by [`complete`].
pub(super) fn read(r: &mut Reader<'_>) -> Tls {
    let modes = [("off", Mode::Off), ("files", Mode::Files), ("acme", Mode::Acme)];
    let doc = "Plain HTTP; or TLS 1.2 and 1.3 with certificate files, read again when they change; or with certificates \
               ordered from an authority (RFC 8555), whose terms this agrees to.";
    let mode = r.word("mode", &modes, Mode::Off, doc);
    let certificate = r.path("certificate", "cert.pem", "PEM, the server's own certificate first.");
    let key = r.secret_file("key", "The private key, PEM: { file = … } or { credential = … }.");
    let acme = authority(r);
    for name in ["certificate", "key"] {
        let place = r.place_of(name);
        if mode == Mode::Files && !r.has(name) {
            r.fault(Fault::new(Code::Conflict, format!("mode = \"files\" needs `{name}`"), r.place_of("mode")));
        } else if mode == Mode::Acme && r.has(name) {
            let message = format!("`{name}` is there, but mode = \"acme\" orders certificates itself");
            r.fault(Fault::new(Code::Conflict, message, place).help("mode = \"files\" takes certificates from files"));
        } else if !r.has("mode") && r.has(name) {
            let message = format!("`{name}` is there, but TLS is off");
            r.fault(Fault::new(Code::Conflict, message, place).help("add mode = \"files\" to [tls]"));
        }
    }
    for name in ["domains", "email", "directory", "folder", "external_account"] {
        if r.has(name) && (mode == Mode::Files || !r.has("mode")) {
            let message = format!("`{name}` is for mode = \"acme\"");
            r.fault(Fault::new(Code::Conflict, message, r.place_of(name)).help("set mode = \"acme\", or take it away"));
        }
    }
    match (mode, certificate, key) {
        (Mode::Files, Some(certificate), Some(key)) => {
            examine(r, &certificate, &key);
            Tls::Files { certificate, key }
        }
        (Mode::Acme, ..) => Tls::Acme(Box::new(acme)),
        _ => Tls::Off,
    }
}

/// Files with which no handshake could succeed are found before anybody tries one.
#[cfg(feature = "server")]
fn examine(r: &Reader<'_>, certificate: &Path, key: &Path) {
    // Where secrets are not needed, an absent one is stood in for.
    if key.as_os_str().is_empty() {
        return;
    }
    if let Err(error) = crate::listen::examine(certificate, key) {
        let message = format!("TLS cannot be spoken with these files: {error}");
        r.fault(Fault::new(Code::Form, message, r.place_of("certificate")));
    }
}

/// A build without a server speaks no TLS.
#[cfg(not(feature = "server"))]
fn examine(_: &Reader<'_>, _: &Path, _: &Path) {}

fn authority(r: &mut Reader<'_>) -> Settings {
    let kind = Kind::List(Box::new(Kind::Text("blog.example.com")));
    let doc = "Names of the certificate. Empty: the host of `public_url`, and `hosts`.";
    let domains = r.list("domains", (kind, Some("[]".to_owned())), doc, domain).unwrap_or_default();
    let email = r.parsed("email", (Kind::Text("ops@example.com"), None), "Where the authority may write to.", |text| {
        let email =
            Email::parse(text).map_err(|_| Trouble::new(Code::Form, format!("\"{text}\" is no e-mail address")))?;
        Ok(email.as_str().to_owned())
    });
    let doc = "The authority's directory. Default: Let's Encrypt. For tries: \
               https://acme-staging-v02.api.letsencrypt.org/directory.";
    let kind = (Kind::Text(LETS_ENCRYPT), Some(quoted(LETS_ENCRYPT)));
    let directory = r.parsed("directory", kind, doc, |text| {
        let form = || Trouble::new(Code::Form, "`directory` is an address: https://host/path");
        let url = url::Url::parse(text).map_err(|_| form())?;
        if matches!(url.scheme(), "https" | "http") && url.has_host() { Ok(text.to_owned()) } else { Err(form()) }
    });
    let doc = "Where account and certificate are kept, for our own account alone; made if it is not there.";
    let reading = r.reading;
    let folder = r.parsed("folder", (Kind::Text(FOLDER), Some(quoted(FOLDER))), doc, |text| match text {
        "" => Err(Trouble::new(Code::Form, "`folder` is empty")),
        text => Ok(reading.resolve(text)),
    });
    let doc = "An account that was made at the authority, where it asks for one (ZeroSSL, Google): { id, key }.";
    let external_account = r.optional("external_account", doc, external).flatten();
    Settings {
        domains: domains.into_iter().map(|(name, _)| name).collect(),
        email,
        directory: directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
        folder: folder.unwrap_or_else(|| reading.resolve(FOLDER)),
        external_account,
        outgoing: fetch::Settings::default(),
    }
}

fn external(r: &mut Reader<'_>) -> Option<ExternalAccount> {
    let id = r.text("id", "kid-1", "What the authority calls it.");
    let key = r.secret("key", "Its MAC key, base64url as the authority shows it.");
    for name in ["id", "key"] {
        if !r.has(name) {
            let message = format!("`external_account` needs `{name}`");
            r.fault(Fault::new(Code::Missing, message, r.place.clone()));
        }
    }
    Some(ExternalAccount { id: id?, key: key? })
}

/// A name that an authority can see over TLS: no address, nothing without a dot, no wildcard.
fn domain(text: &str) -> Result<String, Trouble> {
    let trouble = |why: &str| Trouble::new(Code::Form, format!("no certificate for \"{text}\": {why}"));
    if text.starts_with("*.") {
        return Err(
            trouble("wildcards are proved by DNS alone").help("name each host, or take certificates from files")
        );
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) if name.contains('.') && !name.ends_with('.') && !is_local(&name) => Ok(name),
        Ok(Host::Domain(_)) => Err(trouble("no authority can see that name")),
        Ok(_) => Err(trouble("authorities vouch for names, not for addresses")),
        Err(_) => Err(trouble("that is no name of a host")),
    }
}

/// RFC 6761 and RFC 6762: nobody else's names.
fn is_local(name: &str) -> bool {
    [".localhost", ".local", ".internal", ".invalid"].iter().any(|ending| name.ends_with(ending))
}

/// Fills in what the rest of the file says of the certificates to order.
pub(super) fn complete(r: &Reader<'_>, config: &mut Config) {
    let (public, hosts, outgoing) = (config.public_url.clone(), config.hosts.clone(), config.outgoing.clone());
    let Tls::Acme(settings) = &mut config.listen.tls else { return };
    settings.outgoing = outgoing;
    if !settings.domains.is_empty() {
        return;
    }
    let fault = |message: &str, help: &str| r.fault(Fault::new(Code::Missing, message, r.place_of("tls")).help(help));
    let Some(public) = public else {
        let message = "mode = \"acme\" needs to know for which names: there is no `public_url` and no `domains`";
        return fault(message, "add public_url = \"https://blog.example.com\"");
    };
    let others = hosts.iter().map(String::as_str).filter(|host| *host != public.host());
    for name in std::iter::once(public.host()).chain(others) {
        match domain(name) {
            Ok(name) => settings.domains.push(name),
            Err(trouble) => r.fault(trouble.at(r.place_of("tls")).help("name others in `domains` of [tls]")),
        }
    }
}

const FOLDER: &str = "acme";
