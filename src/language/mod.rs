//! The languages of pages and mails: which one a visitor wants, and what our English texts are in it.
//!
//! English texts are the keys, so what has no translation is still a text, and templates read as what they say.

mod words;

use std::fmt;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use minijinja::value::Rest;
use minijinja::{AutoEscape, Environment, HtmlEscape, State, Value};

pub use words::translated;

/// A language that pages and mails are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Language {
    /// `en`.
    #[default]
    English,
    /// `de`.
    German,
}

impl Language {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its code (BCP 47): `en`.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// Its own name.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// The language with this code.
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// Which of these a visitor wants by `Accept-Language` (RFC 9110 §12.5.4, a region counts as its language); the
    /// first if none, or if nothing is said that can be read.
    pub fn choose(headers: &HeaderMap, offered: &[Self]) -> Self {
        Self::wanted(headers.get(ACCEPT_LANGUAGE).and_then(|said| said.to_str().ok()).unwrap_or_default(), offered)
    }

    /// The same by what `Accept-Language` says.
    pub fn wanted(said: &str, offered: &[Self]) -> Self {
        let mut best: Option<(u32, Self)> = None;
        for part in said.split(',').take(WANTED) {
            let (range, weight) = part.split_once(';').unwrap_or((part, ""));
            let primary = range.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
            let Some(language) = Self::of(&primary).filter(|language| offered.contains(language)) else { continue };
            let weight = quality(weight);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language).or(offered.first().copied()).unwrap_or_default()
    }

    /// Gives templates `t("a text with {}", value)`, `strong(value)` and `language`, the code.
    pub fn speak(self, environment: &mut Environment<'_>) {
        environment.add_global("language", self.code());
        environment.add_function("strong", |text: &str| {
            Value::from_safe_string(format!("<strong>{}</strong>", HtmlEscape(text)))
        });
        environment.add_function("t", move |state: &State<'_, '_>, text: &str, values: Rest<Value>| {
            let escapes = !matches!(state.auto_escape(), AutoEscape::None);
            let shown = |text: &dyn fmt::Display| match escapes {
                true => HtmlEscape(&text.to_string()).to_string(),
                false => text.to_string(),
            };
            let values: Vec<_> =
                values.iter().map(|value| if value.is_safe() { value.to_string() } else { shown(value) }).collect();
            Value::from_safe_string(words::fill(&shown(&translated(self, text)), &values))
        });
    }
}

/// A weight in thousandths; one without is whole, and what cannot be read is none.
fn quality(parameter: &str) -> u32 {
    let Some(text) = parameter.trim().strip_prefix("q=") else { return 1000 };
    text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight)).map_or(0, |weight| (weight * 1e3) as u32)
}

/// So many wishes are read.
const WANTED: usize = 32;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use minijinja::context;

    use super::*;

    fn chosen(said: &'static str, offered: &[Language]) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(said));
        Language::choose(&headers, offered).code()
    }

    #[test]
    fn the_visitors_wish_decides_among_what_is_offered() {
        use Language::{English, German};
        let both = [English, German];
        for (said, expected) in [
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("en-GB, de;q=0.5", "en"),
            ("de;q=0.4, en;q=0.6", "en"),
            ("fr, de;q=0.1", "de"),
            ("fr", "en"),
            ("*", "en"),
            ("", "en"),
            ("de;q=0", "en"),
            ("de;q=x, en;q=0.1", "en"),
            ("DE", "de"),
            ("deu", "en"),
        ] {
            assert_eq!(chosen(said, &both), expected, "{said}");
        }
        assert_eq!(chosen("fr", &[German, English]), "de");
        assert_eq!(chosen("en", &[German]), "de");
        assert_eq!(Language::choose(&HeaderMap::new(), &[German, English]), German);
    }

    #[test]
    fn values_are_escaped_where_the_template_is_html() {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        Language::German.speak(&mut environment);
        let source = "{{ t('You are signed in as {}.', strong(name)) }} {{ t('Show {} <', name) }}";
        environment.add_template("a.html", source).unwrap();
        environment.add_template("a.txt", "{{ t('You are invited to {}', name) }}").unwrap();
        let render = |name: &str| environment.get_template(name).unwrap().render(context! { name => "<b>{}" }).unwrap();
        assert_eq!(render("a.html"), "Sie sind als <strong>&lt;b&gt;{}</strong> angemeldet. Show &lt;b&gt;{} &lt;");
        assert_eq!(render("a.txt"), "Einladung zu <b>{}");
    }
}
