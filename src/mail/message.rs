use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::Error;
use super::letter::Words;
use super::post::Order;
use crate::secret;

/// Where letters become messages: one sender, one recipient, the headers that automatic mail carries.
#[derive(Debug)]
pub(super) struct Desk {
    words: Arc<Words>,
    from: Mailbox,
    host: String,
}

/// Why a message could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    #[error("template: {0}")]
    Words(#[from] minijinja::Error),
    #[error("the recipient's address is none for mail servers")]
    Recipient,
    #[error("message: {0}")]
    Message(#[from] lettre::error::Error),
}

impl Desk {
    pub(super) fn new(words: Arc<Words>, from: Option<&str>, site: &str, host: &str) -> Result<Self, Error> {
        // A host that is an IPv6 address stands in brackets, which identifiers do not take.
        let host = if host.starts_with('[') { "localhost" } else { host };
        let from = match from {
            Some(text) => text.parse().map_err(|_| Error::From)?,
            None => {
                let address = Address::new("no-reply", host).map_err(|_| Error::From)?;
                Mailbox::new(Some(site.to_owned()), address)
            }
        };
        Ok(Self { words, from, host: host.to_owned() })
    }

    pub(super) fn write(&self, order: &Order) -> Result<Message, Unwritten> {
        let letter = self.words.write(&order.kind, order.language)?;
        let (local, domain) = order.to.as_str().rsplit_once('@').ok_or(Unwritten::Recipient)?;
        let recipient = Address::new(local, domain).map_err(|_| Unwritten::Recipient)?;
        let date = UNIX_EPOCH + Duration::from_secs(u64::try_from(order.at.seconds()).unwrap_or_default());
        let name: String = secret::random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, recipient))
            .subject(letter.subject)
            .date(date)
            .message_id(Some(format!("<{name}@{}>", self.host)))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))?;
        Ok(message)
    }
}

/// RFC 3834 §5: nobody's out-of-office note shall answer.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
