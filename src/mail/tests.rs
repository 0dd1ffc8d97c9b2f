use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::secret::Secret;

const NOW: Timestamp = Timestamp::from_seconds(1_795_363_200);

fn mailer(settings: Settings) -> Result<Mailer, Error> {
    let public_url = "https://blog.example.com".parse().unwrap();
    Mailer::new(&settings, "The Blog", &public_url, Clock::manual(NOW))
}

fn smtp(url: &str) -> Settings {
    let smtp = Smtp { url: url.to_owned(), user: None, password: None };
    Settings { from: Some("The Blog <blog@example.com>".to_owned()), outbox: Outbox::Smtp(smtp), ..Default::default() }
}

fn reset() -> Kind {
    let url = Secret::new("https://blog.example.com/.auth/reset?token=T0&tokenId=I0");
    let code = Some((Secret::new("ABCD-2345"), NOW + Duration::from_mins(10)));
    Kind::Reset(Link { url, valid_until: NOW + Duration::from_mins(30), code })
}

fn ann() -> Email {
    Email::parse("Ann@example.com").unwrap()
}

/// A mail server on loopback that answers every line with what `script` says, and tells each line it read.
pub(super) fn server(
    script: impl Fn(&str, usize) -> Option<&'static str> + Send + 'static,
) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for (visit, stream) in listener.incoming().enumerate() {
            let _ = talk(stream.unwrap(), &tell, |line| script(line, visit));
        }
    });
    (url, told)
}

fn talk(
    mut stream: TcpStream,
    tell: &mpsc::Sender<String>,
    answer: impl Fn(&str) -> Option<&'static str>,
) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    writeln!(stream, "220 mail.example.com ESMTP\r")?;
    let mut data = false;
    while let Some(Ok(line)) = lines.next() {
        let _ = tell.send(line.clone());
        if data && line != "." {
            continue;
        }
        data = line == "DATA";
        let Some(reply) = answer(&line) else { return Ok(()) };
        writeln!(stream, "{reply}\r")?;
    }
    Ok(())
}

pub(super) fn polite(line: &str) -> &'static str {
    match line {
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 mail.example.com",
    }
}

fn count(lines: &[String], start: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(start)).count()
}

/// SEC-PWD-08
#[tokio::test]
async fn sec_pwd_08_a_mail_reaches_a_server_with_one_recipient_and_the_headers_of_automatic_mail() {
    let (url, told) = server(|line, _| Some(polite(line)));
    let mailer = mailer(smtp(&url)).unwrap();
    mailer.queue(&ann(), reset());
    mailer.drain().await;
    let lines: Vec<String> = told.try_iter().collect();
    assert_eq!(count(&lines, "RCPT TO:"), 1);
    assert_eq!(count(&lines, "RCPT TO:<Ann@example.com>"), 1);
    assert_eq!(count(&lines, "MAIL FROM:<blog@example.com>"), 1);
    assert_eq!(count(&lines, "Auto-Submitted: auto-generated"), 1);
    assert_eq!(count(&lines, "Date: Sun, 22 Nov 2026 16:00:00 +0000"), 1);
    assert!(lines.iter().any(|line| line.starts_with("Message-ID: <") && line.ends_with("@blog.example.com>")));
    assert_eq!(count(&lines, "Subject: Set a new password for The Blog"), 1);
    assert_eq!(count(&lines, "Bcc") + count(&lines, "Cc"), 0);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_once_more() {
    let (url, told) = server(|line, visit| match visit {
        0 if line.starts_with("MAIL") => None,
        _ => Some(polite(line)),
    });
    let mailer = mailer(smtp(&url)).unwrap();
    mailer.queue(&ann(), reset());
    mailer.drain().await;
    let lines: Vec<String> = told.try_iter().collect();
    assert_eq!((count(&lines, "MAIL"), count(&lines, "RCPT")), (2, 1));
}

#[tokio::test]
async fn a_final_refusal_is_not_tried_again() {
    let (url, told) = server(|line, _| match line.starts_with("RCPT") {
        true => Some("550 5.1.1 no such mailbox"),
        false => Some(polite(line)),
    });
    let mailer = mailer(smtp(&url)).unwrap();
    mailer.queue(&ann(), reset());
    mailer.drain().await;
    let lines: Vec<String> = told.try_iter().collect();
    assert_eq!((count(&lines, "RCPT"), count(&lines, "DATA")), (1, 0));
}

#[tokio::test]
async fn a_passing_refusal_is_tried_twice_and_given_up() {
    let (url, told) = server(|line, _| match line.starts_with("RCPT") {
        true => Some("451 4.7.1 later"),
        false => Some(polite(line)),
    });
    let mailer = mailer(smtp(&url)).unwrap();
    mailer.queue(&ann(), reset());
    mailer.drain().await;
    let lines: Vec<String> = told.try_iter().collect();
    assert_eq!((count(&lines, "RCPT"), count(&lines, "DATA")), (2, 0));
}

#[test]
fn a_server_that_is_no_server_is_refused_at_start() {
    for url in ["mail.example.com", "http://mail.example.com", "smtp://", "smtps://u:p@mail.example.com", "smtp://h/x"]
    {
        assert!(matches!(mailer(smtp(url)), Err(Error::SmtpUrl)), "{url}");
    }
    let nameless = Settings { from: None, ..smtp("smtp://localhost") };
    assert!(matches!(mailer(nameless), Err(Error::From)));
    assert!(mailer(smtp("smtp://localhost")).is_ok());
    assert!(mailer(smtp("smtp://[::1]:2525")).is_ok());
    assert!(mailer(smtp("smtps://mail.example.com")).is_ok());
}

#[tokio::test]
async fn files_are_whole_and_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox");
    let settings = Settings { from: None, outbox: Outbox::Directory(path.clone()), ..Default::default() };
    let mailer = mailer(settings).unwrap();
    mailer.queue(&ann(), reset());
    mailer.drain().await;
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    assert!(files[0].to_string_lossy().ends_with(".eml"));
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains("To: Ann@example.com\r\n"), "{text}");
    assert!(text.contains("From: \"The Blog\" <no-reply@blog.example.com>\r\n"), "{text}");
    assert!(text.contains("multipart/alternative"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn memory_keeps_what_was_queued() {
    let mailer = mailer(Settings { from: None, outbox: Outbox::Memory, ..Default::default() }).unwrap();
    mailer.queue(&ann(), reset());
    let sent = mailer.sent();
    assert_eq!((sent.len(), sent[0].kind, sent[0].to.as_str(), sent[0].at), (1, "reset", "Ann@example.com", NOW));
    assert!(sent[0].text.contains("token=T0&tokenId=I0") && sent[0].html.contains("token=T0&amp;tokenId=I0"));
}
