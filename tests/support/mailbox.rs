//! Mails as `.eml` files in a folder, awaited without polling.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use tokio::net::unix::pipe::Receiver;

use super::within;

/// The folder `[mail] directory` names.
pub struct Mailbox {
    folder: PathBuf,
}

/// One mail, decoded.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The file as it is.
    pub raw: String,
    /// Every `To` address.
    pub to: Vec<String>,
    pub subject: String,
    /// The text part.
    pub text: String,
}

impl Mailbox {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What has arrived, oldest first.
    pub fn all(&self) -> Vec<Mail> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let files =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "eml"));
        let mut files: Vec<_> = files.map(|path| (path.metadata().unwrap().modified().unwrap(), path)).collect();
        files.sort();
        files.iter().map(|(_, path)| Mail::read(path)).filter(|mail| !mail.raw.is_empty()).collect()
    }

    /// The mails to this address.
    pub fn to(&self, address: &str) -> Vec<Mail> {
        self.all().into_iter().filter(|mail| mail.to.iter().any(|to| to.eq_ignore_ascii_case(address))).collect()
    }

    /// The `number`th mail (from 1) to this address, as soon as it is there.
    pub async fn wait(&self, address: &str, number: usize) -> Mail {
        std::fs::create_dir_all(&self.folder).unwrap();
        let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        add_watch(&watch, &self.folder, WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO).unwrap();
        // Not a pipe, but read like one: ready when something happened in the folder.
        let watch = Receiver::from_owned_fd_unchecked(watch).unwrap();
        let arrival = async {
            loop {
                if let Some(mail) = self.to(address).get(number - 1) {
                    return mail.clone();
                }
                watch.readable().await.unwrap();
                while watch.try_read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            }
        };
        within(&format!("mail {number} to {address}"), arrival).await
    }
}

impl Mail {
    fn read(path: &Path) -> Self {
        let raw = String::from_utf8_lossy(&std::fs::read(path).unwrap()).replace("\r\n", "\n");
        let (head, body) = raw.split_once("\n\n").unwrap_or((&raw, ""));
        let to = header(head, "to").split(',').map(|to| bare(to).to_owned()).filter(|to| !to.is_empty()).collect();
        let subject = decode_words(&header(head, "subject"));
        let text = text_part(head, body);
        Self { to, subject, text, raw: raw.clone() }
    }

    /// The first link in it.
    pub fn link(&self) -> String {
        let from = self.text.find("http").unwrap_or_else(|| panic!("no link in {self:?}"));
        let link = self.text[from..].split(|c: char| c.is_whitespace() || c == '>' || c == '"').next();
        link.unwrap_or_default().to_owned()
    }

    /// The path and query of the link, on this site.
    pub fn path(&self) -> String {
        let link = self.link();
        let path = link.strip_prefix(super::site::PUBLIC_URL).filter(|path| path.starts_with('/'));
        path.unwrap_or_else(|| panic!("{link} leads elsewhere")).to_owned()
    }

    /// `token=…` of the link.
    pub fn token(&self) -> String {
        self.parameter("token")
    }

    /// A query parameter of the link.
    pub fn parameter(&self, name: &str) -> String {
        let link = url::Url::parse(&self.link()).unwrap();
        let found = link.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        found.unwrap_or_else(|| panic!("no {name} in {link}"))
    }

    /// The short code: the only word of twice four capitals and digits, with or without a hyphen between.
    pub fn code(&self) -> String {
        let plain = |word: &str| word.chars().filter(|c| *c != '-').collect::<String>();
        let codes: BTreeSet<_> = (self.text.split_whitespace().map(plain))
            .filter(|word| word.len() == 8 && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()))
            .collect();
        assert_eq!(codes.len(), 1, "codes in {self:?}");
        codes.into_iter().next().unwrap()
    }
}

/// A header field, unfolded (RFC 5322 §2.2.3).
fn header(head: &str, name: &str) -> String {
    let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
    let field = unfolded.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    });
    field.unwrap_or_default()
}

/// `Ann <ann@example.com>` → `ann@example.com`.
fn bare(address: &str) -> &str {
    match address.split_once('<') {
        Some((_, rest)) => rest.trim_end().trim_end_matches('>'),
        None => address.trim(),
    }
}

/// The text of a mail: of its `text/plain` part if it has several.
fn text_part(head: &str, body: &str) -> String {
    let kind = header(head, "content-type");
    if let Some((_, boundary)) = kind.split_once("boundary=") {
        let boundary = boundary.split(';').next().unwrap_or_default().trim().trim_matches('"');
        let parts: Vec<_> = body.split(&format!("--{boundary}")).skip(1).collect();
        let parts = parts.iter().filter_map(|part| part.trim_start_matches('\n').split_once("\n\n"));
        let text = |(head, body): (&str, &str)| text_part(head, body);
        return parts.map(text).find(|text| !text.is_empty()).unwrap_or_default();
    }
    if !kind.is_empty() && !kind.starts_with("text/plain") {
        return String::new();
    }
    match header(head, "content-transfer-encoding").to_ascii_lowercase().as_str() {
        "base64" => {
            let digits: String = body.split_whitespace().collect();
            String::from_utf8_lossy(&STANDARD.decode(digits).unwrap()).into_owned()
        }
        "quoted-printable" => String::from_utf8_lossy(&quoted(&body.replace("=\n", ""))).into_owned(),
        _ => body.to_owned(),
    }
}

/// `=C3=A9` → the bytes (RFC 2045 §6.7).
fn quoted(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(&text.replace('%', "=25").replace('=', "%")).collect()
}

/// `=?utf-8?b?…?=` → the text (RFC 2047).
fn decode_words(text: &str) -> String {
    let mut out = String::new();
    for (index, piece) in text.split("=?").enumerate() {
        let fields: Vec<_> = piece.splitn(4, '?').collect();
        match fields.as_slice() {
            [_, coding, word, rest] if index > 0 => {
                let bytes = match coding.to_ascii_lowercase().as_str() {
                    "b" => STANDARD.decode(word).unwrap(),
                    _ => quoted(&word.replace('_', " ")),
                };
                out.push_str(&String::from_utf8_lossy(&bytes));
                out.push_str(rest.trim_start_matches('=').trim_end());
            }
            _ => out.push_str(piece),
        }
    }
    out
}
