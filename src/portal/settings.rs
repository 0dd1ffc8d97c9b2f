use std::path::PathBuf;

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
    /// Linked at the foot of every page.
    pub terms_url: Option<String>,
    /// Linked where somebody is refused.
    pub support_url: Option<String>,
}
