use std::fmt;

use minijinja::{AutoEscape, Environment, ErrorKind, Value, context};
use time::macros::format_description;

use super::Kind;
use crate::clock::Timestamp;
use crate::language::Language;

/// A mail in words: subject, plain text and HTML from one source.
#[derive(Clone)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

impl fmt::Debug for Letter {
    // Texts hold links and codes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Finds the words for every kind of mail.
#[derive(Debug)]
pub(super) struct Words {
    /// The first is for whoever wants none of them.
    spoken: Vec<(Language, Environment<'static>)>,
    site: String,
    origin: String,
}

impl Words {
    pub(super) fn new(site: &str, origin: &str, languages: &[Language]) -> Result<Self, minijinja::Error> {
        let languages = if languages.is_empty() { &[Language::English][..] } else { languages };
        let spoken = languages.iter().map(|language| Ok((*language, templates(*language)?)));
        let spoken = spoken.collect::<Result<_, minijinja::Error>>()?;
        // A line break in a title must not become one in a header or a list of lines.
        let site = site.split(|c: char| c.is_control()).collect::<Vec<_>>().join(" ");
        Ok(Self { spoken, site, origin: origin.to_owned() })
    }

    /// The language of somebody whose `Accept-Language` says this.
    pub(super) fn language(&self, said: &str) -> Language {
        let offered: Vec<_> = self.spoken.iter().map(|(language, _)| *language).collect();
        Language::wanted(said, &offered)
    }

    pub(super) fn write(&self, kind: &Kind, language: Language) -> Result<Letter, minijinja::Error> {
        let facts = self.facts(kind);
        let spoken = self.spoken.iter().find(|(spoken, _)| *spoken == language).or(self.spoken.first());
        let (_, templates) = spoken.ok_or_else(|| minijinja::Error::from(ErrorKind::TemplateNotFound))?;
        let render = |suffix: &str, layout: &str| {
            let template = templates.get_template(&format!("{}.{suffix}", kind.as_str()))?;
            template.render(context! { layout, ..facts.clone() })
        };
        let subject = render("subject", "subject.txt")?;
        Ok(Letter {
            subject: subject.split_whitespace().collect::<Vec<_>>().join(" "),
            text: render("txt", "text.txt")?,
            html: render("html", "page.html")?,
        })
    }

    fn facts(&self, kind: &Kind) -> Value {
        let link = kind.link().map(|link| {
            // A mail is the one place where the token and the code belong.
            let code = link.code.as_ref();
            context! {
                url => link.url.expose(),
                until => clock_time(link.valid_until),
                code => code.map(|(code, _)| code.expose()),
                code_until => code.map(|(_, until)| clock_time(*until)),
            }
        });
        let (at, reset_url) = match kind {
            Kind::PasswordChanged { at, reset_url } => (Some(*at), Some(reset_url.as_str())),
            Kind::EmailChanged { at } => (Some(*at), None),
            _ => (None, None),
        };
        let at = at.map(clock_time);
        context! { link, at, reset_url, site => self.site.as_str(), origin => self.origin.as_str() }
    }
}

fn templates(language: Language) -> Result<Environment<'static>, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    language.speak(&mut templates);
    for (name, source) in LAYOUTS {
        templates.add_template(name, source)?;
    }
    for (kind, source) in KINDS {
        for suffix in ["subject", "txt", "html"] {
            templates.add_template_owned(format!("{kind}.{suffix}"), source)?;
        }
    }
    Ok(templates)
}

/// `22 November 2026, 16:30 UTC`.
fn clock_time(at: Timestamp) -> String {
    let form = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    at.date().format(form).unwrap_or_else(|_| at.rfc3339())
}

const LAYOUTS: [(&str, &str); 3] = [
    ("subject.txt", include_str!("templates/subject.txt")),
    ("text.txt", include_str!("templates/text.txt")),
    ("page.html", include_str!("templates/page.html")),
];

const KINDS: [(&str, &str); 7] = [
    ("confirm", include_str!("templates/confirm.jinja")),
    ("reset", include_str!("templates/reset.jinja")),
    ("invite", include_str!("templates/invite.jinja")),
    ("already_registered", include_str!("templates/already_registered.jinja")),
    ("password_changed", include_str!("templates/password_changed.jinja")),
    ("change_email", include_str!("templates/change_email.jinja")),
    ("email_changed", include_str!("templates/email_changed.jinja")),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mail::Link;
    use crate::secret::Secret;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_363_200);

    fn link() -> Link {
        Link {
            url: Secret::new("https://blog.example.com/.auth/confirm?token=T&tokenId=I"),
            valid_until: NOW + Duration::from_mins(30),
            code: Some((Secret::new("ABCD-2345"), NOW + Duration::from_mins(10))),
        }
    }

    fn all() -> [Kind; 7] {
        [
            Kind::Confirm(link()),
            Kind::Reset(link()),
            Kind::Invite(Link { code: None, ..link() }),
            Kind::AlreadyRegistered(link()),
            Kind::PasswordChanged { at: NOW, reset_url: "https://blog.example.com/.auth/reset".to_owned() },
            Kind::ChangeEmail(link()),
            Kind::EmailChanged { at: NOW },
        ]
    }

    #[test]
    fn every_kind_says_the_same_in_text_and_html() {
        let words = Words::new("The Blog", "https://blog.example.com", &[Language::English]).unwrap();
        for kind in all() {
            let letter = words.write(&kind, Language::English).unwrap();
            assert!(letter.subject.contains("The Blog"), "{kind:?}");
            for body in [&letter.text, &letter.html] {
                assert!(body.contains("The Blog") && body.contains("You did not ask for this?"), "{kind:?}: {body}");
                assert_eq!(body.contains("22 November 2026, 16:30 UTC"), kind.link().is_some(), "{kind:?}: {body}");
                let code = kind.link().is_some_and(|link| link.code.is_some());
                assert_eq!(body.contains("ABCD-2345"), code, "{kind:?}: {body}");
                assert!(!body.contains("{{") && !body.contains("{%"));
            }
            assert!(letter.html.starts_with("<!doctype html>"));
            assert_eq!(
                letter.text.contains("https://blog.example.com/.auth/confirm?token=T&tokenId=I"),
                kind.link().is_some()
            );
        }
    }

    /// SEC-XSS-02
    #[test]
    fn sec_xss_02_a_title_cannot_break_out_of_html_or_subject() {
        let words = Words::new("<b>A&B</b>\r\nBcc: x@y.example", "https://a.example", &[Language::English]).unwrap();
        let letter = words.write(&Kind::Confirm(link()), Language::English).unwrap();
        assert!(!letter.html.contains("<b>"), "{}", letter.html);
        assert!(letter.text.contains("<b>A&B</b>"));
        assert!(!letter.subject.contains(['\r', '\n']));
    }

    #[test]
    fn what_prints_a_letter_shows_no_link() {
        let words = Words::new("Blog", "https://a.example", &[Language::English]).unwrap();
        let shown =
            format!("{:?} {:?}", words.write(&Kind::Reset(link()), Language::English).unwrap(), Kind::Reset(link()));
        assert!(!shown.contains("token") && !shown.contains("ABCD"), "{shown}");
    }
}
