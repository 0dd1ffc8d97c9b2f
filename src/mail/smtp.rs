use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::time::timeout;
use url::{Host, Url};

use super::{Error, Smtp};

/// A mail server, and how it is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
}

/// How the way to the server is secured. In the clear goes only what stays on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Tls,
    StartTls,
    Loopback,
}

/// Why a mail did not leave. It names no address: what a server says often does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsent {
    #[error("the mail server took longer than {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the mail server answered {0}")]
    Refused(String),
    #[error("the mail server could not be reached: {0}")]
    Unreached(&'static str),
}

impl Server {
    pub(super) fn parse(settings: &Smtp) -> Result<Self, Error> {
        let url = Url::parse(&settings.url).map_err(|_| Error::SmtpUrl)?;
        let host = match url.host().ok_or(Error::SmtpUrl)? {
            // Schemes that are not the web's keep their host as it was typed.
            Host::Domain(name) => name.trim_matches(['[', ']']).to_ascii_lowercase(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let elsewhere = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
        if elsewhere || !url.username().is_empty() || url.password().is_some() {
            return Err(Error::SmtpUrl);
        }
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp" if loopback => (Security::Loopback, 25),
            "smtp" => (Security::StartTls, 587),
            _ => return Err(Error::SmtpUrl),
        };
        let credentials = settings.user.as_ref().map(|user| {
            let password = settings.password.as_ref().map_or("", |password| password.expose());
            Credentials::new(user.clone(), password.to_owned())
        });
        Ok(Self { host, port: url.port().unwrap_or(port), security, credentials })
    }

    /// Call it where a runtime runs: idle connections are closed by a task.
    pub(super) fn connect(&self) -> Result<Line, Error> {
        let tls = || TlsParameters::new(self.host.clone()).map_err(|error| Error::Tls(error.to_string()));
        let tls = match self.security {
            Security::Tls => Tls::Wrapper(tls()?),
            Security::StartTls => Tls::Required(tls()?),
            Security::Loopback => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .tls(tls)
            .timeout(Some(CONNECT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS).idle_timeout(IDLE));
        if let Some(credentials) = &self.credentials {
            builder = builder.credentials(credentials.clone());
        }
        Ok(Line(builder.build()))
    }
}

/// An open way to a mail server.
#[derive(Debug)]
pub(super) struct Line(AsyncSmtpTransport<Tokio1Executor>);

impl Line {
    /// Sends, and tries once more when that may help: connections kept open may have been closed meanwhile.
    pub(super) async fn send(&self, message: &Message) -> Result<(), Unsent> {
        match self.attempt(message).await {
            Err((_, Again::Worthwhile)) => self.attempt(message).await.map_err(|(unsent, _)| unsent),
            other => other.map_err(|(unsent, _)| unsent),
        }
    }

    async fn attempt(&self, message: &Message) -> Result<(), (Unsent, Again)> {
        // The transport's own time limit covers connecting alone.
        match timeout(TIMEOUT, self.0.send(message.clone())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err((describe(&error), Again::Useless)),
            Ok(Err(error)) => Err((describe(&error), Again::Worthwhile)),
            Err(_) => Err((Unsent::Timeout, Again::Worthwhile)),
        }
    }
}

enum Again {
    Worthwhile,
    Useless,
}

fn describe(error: &lettre::transport::smtp::Error) -> Unsent {
    match error.status() {
        Some(code) => Unsent::Refused(code.to_string()),
        None if error.is_timeout() => Unsent::Timeout,
        None if error.is_tls() => Unsent::Unreached("TLS failed"),
        None if error.is_response() => Unsent::Unreached("it does not speak SMTP"),
        None if error.is_client() => Unsent::Unreached("it lacks what the mail or the settings need"),
        None => Unsent::Unreached("no connection"),
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
pub(super) const CONNECTIONS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::tests::{polite, server};

    fn parse(url: &str) -> Server {
        Server::parse(&Smtp { url: url.to_owned(), user: None, password: None }).unwrap()
    }

    fn message() -> Message {
        let builder = Message::builder().from("a@example.com".parse().unwrap()).to("b@example.com".parse().unwrap());
        builder.body("text".to_owned()).unwrap()
    }

    #[test]
    fn only_loopback_is_spoken_to_in_the_clear() {
        let ways = [
            ("smtps://mail.example.com", Security::Tls, 465),
            ("smtp://mail.example.com", Security::StartTls, 587),
            ("smtp://mail.example.com:25", Security::StartTls, 25),
            ("smtp://localhost.example.com", Security::StartTls, 587),
            ("smtp://10.0.0.1", Security::StartTls, 587),
            ("smtp://localhost", Security::Loopback, 25),
            ("smtp://127.0.0.1:2525", Security::Loopback, 2525),
            ("smtp://[::1]:2525", Security::Loopback, 2525),
            ("smtps://localhost", Security::Tls, 465),
        ];
        for (url, security, port) in ways {
            assert_eq!((parse(url).security, parse(url).port), (security, port), "{url}");
        }
    }

    #[tokio::test]
    async fn a_server_without_starttls_learns_nothing() {
        let (url, told) = server(|line, _| Some(polite(line)));
        let plain = parse(&url);
        let line = Server { security: Security::StartTls, ..plain.clone() }.connect().unwrap();
        assert!(line.send(&message()).await.is_err());
        assert!(told.try_iter().all(|line| line.starts_with("EHLO") || line.starts_with("QUIT")));
        assert_eq!(plain.connect().unwrap().send(&message()).await, Ok(()));
    }

    #[tokio::test]
    async fn what_a_server_says_about_the_mailbox_is_not_repeated() {
        let (url, _told) = server(|line, _| match line.starts_with("RCPT") {
            true => Some("550 5.1.1 <b@example.com> no such mailbox"),
            false => Some(polite(line)),
        });
        let unsent = parse(&url).connect().unwrap().send(&message()).await.unwrap_err();
        assert_eq!(unsent.to_string(), "the mail server answered 550");
    }
}
