use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::providers::page_url;
use super::reader::Reader;
use crate::language::Language;
use crate::portal::{Languages, Settings};

/// `[pages]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    Settings {
        title: r.text("title", "The Blog", "The site's name in titles and mails; the public host if absent."),
        logo: r.path("logo", "logo.svg", "A picture file (SVG or PNG) beside the name."),
        accent: r.parsed(
            "accent",
            (Kind::Text("#0a5bb5"), None),
            "A colour for buttons and links, #rrggbb; with less contrast to white than 4.5 it is refused (WCAG 2.2, \
             1.4.3).",
            accent,
        ),
        templates: r.path("templates", "templates", "A folder whose files replace ours of the same name."),
        languages: languages(r),
        terms_url: page_url(r, "terms_url", "Linked at the foot of every page."),
        support_url: page_url(r, "support_url", "Linked where somebody is refused."),
    }
}

fn languages(r: &mut Reader<'_>) -> Languages {
    let all = Language::ALL.map(Language::code);
    let kind = (Kind::List(Box::new(Kind::Text("en"))), Some(format!("{all:?}")));
    let doc = "The languages of pages and mails, chosen by Accept-Language; the first is for everybody else.";
    let mut seen = Vec::new();
    let read = r.list("languages", kind, doc, |code| {
        let language = Language::of(code).ok_or_else(|| {
            Trouble::new(Code::Word, format!("there are no pages in {code:?}"))
                .help(format!("have: {}", all.join(", ")))
        })?;
        if seen.contains(&language) {
            return Err(Trouble::new(Code::Conflict, format!("{code:?} stands twice in `languages`")));
        }
        seen.push(language);
        Ok(language)
    });
    match read.map(|read| read.into_iter().map(|(language, _)| language).collect::<Vec<_>>()) {
        Some(read) if !read.is_empty() => Languages(read),
        _ => Languages::default(),
    }
}

fn accent(text: &str) -> Result<String, Trouble> {
    let digits =
        text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let number = number.ok_or_else(|| Trouble::new(Code::Form, "`accent` is not a colour such as \"#0a5bb5\""))?;
    let contrast = 1.05 / (luminance(number) + 0.05);
    if contrast >= 4.5 {
        return Ok(text.to_owned());
    }
    let message = format!("`accent` has a contrast of {contrast:.1} to white; text needs 4.5");
    Err(Trouble::new(Code::Range, message).help("take a darker colour"))
}

/// Relative luminance (WCAG 2.2, glossary).
fn luminance(colour: u32) -> f64 {
    let channel = |shift: u32| {
        let value = f64::from(colour >> shift & 0xff) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
}
