use std::path::PathBuf;

use crate::language::Language;

/// `[pages]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Settings {
    /// The site's name in titles and mails; the public host if absent.
    pub title: Option<String>,
    /// A picture file (SVG or PNG) beside the name.
    pub logo: Option<PathBuf>,
    /// A colour `#rrggbb` for buttons and links; its contrast is checked.
    pub accent: Option<String>,
    /// A folder whose files replace ours of the same name.
    pub templates: Option<PathBuf>,
    /// The languages of pages and mails, of which a visitor gets the one he wants; the first is for everybody else.
    pub languages: Languages,
    /// Linked at the foot of every page.
    pub terms_url: Option<String>,
    /// Linked where somebody is refused.
    pub support_url: Option<String>,
}

/// One language or several, in the order of preference. All there are, if not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Languages(pub Vec<Language>);

impl Default for Languages {
    fn default() -> Self {
        Self(Language::ALL.to_vec())
    }
}
