use std::path::PathBuf;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use super::value::not_empty;
use crate::account::email::Email;
use crate::mail::{Outbox, Settings, Smtp};

/// `[mail]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let from = r.parsed("from", (Kind::Text("blog@example.com"), None), "The sender's address; SMTP needs it.", sender);
    let smtp = r.optional("smtp", "The mail server. Without it and without a directory mails are printed.", smtp);
    let reading = r.reading;
    let directory: Option<PathBuf> = r.parsed(
        "directory",
        (Kind::Text("outbox"), None),
        "A folder that mails are written into as .eml files, in place of a mail server.",
        |text| not_empty("directory", text).map(|text| reading.resolve(text)),
    );
    let smtp = smtp.flatten();
    if smtp.is_some() && directory.is_some() {
        let message = "mails go to `smtp` or into `directory`, not both";
        r.fault(Fault::new(Code::Conflict, message, r.place_of("directory")).help("remove one of them"));
    }
    if smtp.is_some() && !r.has("from") {
        let message = "`smtp` needs `from`: mail servers take no mail without a sender";
        r.fault(
            Fault::new(Code::Conflict, message, r.place_of("smtp")).help("add from = \"blog@example.com\" to [mail]"),
        );
    }
    let outbox = match (smtp, directory) {
        (Some(smtp), _) => Outbox::Smtp(smtp),
        (None, Some(directory)) => Outbox::Directory(directory),
        (None, None) => Outbox::default(),
    };
    Settings { from, outbox, ..Settings::default() }
}

fn smtp(r: &mut Reader<'_>) -> Option<Smtp> {
    let doc = "smtps://host:465, smtp://host:587 (STARTTLS is required), or smtp://localhost:25.";
    let url = r.parsed("url", (Kind::Text("smtps://mail.example.com"), None), doc, server);
    let user = r.text("user", "blog", "The account at the mail server.");
    let password = r.secret("password", "The account's password.");
    if !r.has("url") {
        r.fault(
            Fault::new(Code::Missing, "`smtp` needs `url`", r.place.clone()).help("url = \"smtps://mail.example.com\""),
        );
    }
    if r.has("password") != r.has("user") {
        let message = "`user` and `password` go together";
        r.fault(Fault::new(Code::Conflict, message, r.place.clone()));
    }
    Some(Smtp { url: url?, user, password })
}

/// `blog@example.com` or `The Blog <blog@example.com>`.
fn sender(text: &str) -> Result<String, Trouble> {
    let address = text.strip_suffix('>').and_then(|text| text.rsplit_once('<')).map_or(text, |(_, address)| address);
    match Email::parse(address) {
        Ok(_) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(Trouble::new(
            Code::Form,
            "`from` is not an address such as blog@example.com or Blog <blog@example.com>",
        )),
    }
}

fn server(text: &str) -> Result<String, Trouble> {
    let form = || Trouble::new(Code::Form, "`url` is not a mail server such as smtps://mail.example.com");
    let url = url::Url::parse(text).map_err(|_| form())?;
    if !matches!(url.scheme(), "smtp" | "smtps") || url.host_str().is_none_or(str::is_empty) {
        return Err(form().help("smtps://host (port 465) or smtp://host:587 (STARTTLS)"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = "`url` holds an account; its password would stand in the file";
        return Err(
            Trouble::new(Code::SecretLiteral, message).help("write user = \"…\" and password = { env = \"NAME\" }")
        );
    }
    let extra = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if extra { Err(form().help("a mail server is scheme, host and port")) } else { Ok(text.to_owned()) }
}
