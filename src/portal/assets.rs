//! Stylesheet, script and logo, each under a name that changes with its content, so that browsers may keep it.

use std::path::Path;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};

use super::look;
use super::settings::Settings;
use crate::body::Body;
use crate::secret::Digest;

/// What pages link to.
#[derive(Debug)]
pub(super) struct Assets {
    style: Asset,
    script: Asset,
    logo: Option<Asset>,
}

#[derive(Debug)]
struct Asset {
    name: String,
    tag: HeaderValue,
    media_type: &'static str,
    content: Bytes,
}

/// Why the assets cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The accent colour.
    #[error(transparent)]
    Accent(#[from] look::Error),
    /// The logo is neither SVG nor PNG.
    #[error("pages.logo: {0}: only .svg and .png files are shown")]
    LogoKind(String),
    /// The logo cannot be read.
    #[error("pages.logo: {0}: {1}")]
    Logo(String, std::io::Error),
}

impl Assets {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let style = format!("{STYLE}{}", look::accent_rules(settings.accent.as_deref())?);
        Ok(Self {
            style: Asset::new("style", "css", "text/css; charset=utf-8", style.into()),
            script: Asset::new("script", "js", "text/javascript; charset=utf-8", Bytes::from_static(SCRIPT.as_bytes())),
            logo: settings.logo.as_deref().map(logo).transpose()?,
        })
    }

    /// The stylesheet's name.
    pub(super) fn style(&self) -> &str {
        &self.style.name
    }

    /// The script's name.
    pub(super) fn script(&self) -> &str {
        &self.script.name
    }

    /// The logo's name, if there is one.
    pub(super) fn logo(&self) -> Option<&str> {
        self.logo.as_ref().map(|logo| logo.name.as_str())
    }

    /// The file with this name, if it is one of ours and of this version.
    pub(super) fn serve(&self, name: &str) -> Option<Response<Body>> {
        let all = [Some(&self.style), Some(&self.script), self.logo.as_ref()];
        all.into_iter().flatten().find(|asset| asset.name == name).map(Asset::response)
    }
}

impl Asset {
    fn new(stem: &str, ending: &str, media_type: &'static str, content: Bytes) -> Self {
        let hash: String = Digest::of(&content).as_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{stem}-{hash}.{ending}");
        let tag = HeaderValue::try_from(format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { name, tag, media_type, content }
    }

    fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.content.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert(ETAG, self.tag.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // An SVG that is opened by itself is a document of our origin: it runs and loads nothing.
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(ALONE));
        response
    }
}

fn logo(path: &Path) -> Result<Asset, Error> {
    let shown = path.display().to_string();
    let (ending, media_type) = match path.extension().and_then(|ending| ending.to_str()) {
        Some("svg") => ("svg", "image/svg+xml"),
        Some("png") => ("png", "image/png"),
        _ => return Err(Error::LogoKind(shown)),
    };
    let content = std::fs::read(path).map_err(|error| Error::Logo(shown, error))?;
    Ok(Asset::new("logo", ending, media_type, content.into()))
}

pub(super) const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");
const ALONE: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stay_light() {
        assert!(STYLE.len() < 12 << 10, "{}", STYLE.len());
        assert!(SCRIPT.len() < 8 << 10, "{}", SCRIPT.len());
    }

    #[test]
    fn an_asset_is_served_under_the_name_of_its_content_alone() {
        let assets = Assets::new(&Settings::default()).unwrap();
        let response = assets.serve(assets.style()).unwrap();
        assert_eq!(response.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(response.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert!(assets.serve("style-0000000000000000.css").is_none());
        assert!(assets.serve("style.css").is_none());
    }

    #[test]
    fn an_accent_changes_the_name() {
        let purple = Settings { accent: Some("#6b21a8".into()), ..Settings::default() };
        let (ours, theirs) = (Assets::new(&Settings::default()).unwrap(), Assets::new(&purple).unwrap());
        assert_ne!(ours.style(), theirs.style());
        assert_eq!(ours.script(), theirs.script());
    }

    #[test]
    fn a_logo_is_a_picture_and_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logo.svg");
        std::fs::write(&path, "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
        let assets = Assets::new(&Settings { logo: Some(path), ..Settings::default() }).unwrap();
        let response = assets.serve(assets.logo().unwrap()).unwrap();
        assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
        let page = Settings { logo: Some("logo.html".into()), ..Settings::default() };
        assert!(matches!(Assets::new(&page), Err(Error::LogoKind(_))));
        let missing = Settings { logo: Some(folder.path().join("none.png")), ..Settings::default() };
        assert!(matches!(Assets::new(&missing), Err(Error::Logo(..))));
    }
}
