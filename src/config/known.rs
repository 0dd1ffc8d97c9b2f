//! The table of known keys: made by reading an empty file, so that it cannot differ from what is read.

use std::sync::LazyLock;

use super::reader::{Reader, Reading};

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    /// Where it stands; free names are `*`.
    pub(crate) path: Vec<String>,
    /// What it takes.
    pub(crate) kind: Kind,
    /// Its default as TOML; none if it has none.
    pub(crate) default: Option<String>,
    /// What it says, its unit, and what a bad value does where that is not plain.
    pub(crate) doc: &'static str,
}

/// What a key takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Any text, such as this one.
    Text(&'static str),
    /// A whole number between these.
    Integer(i64, i64),
    /// True or false.
    Boolean,
    /// A span of time.
    Span,
    /// A size.
    Size,
    /// A rate.
    Rate,
    /// A part of all.
    Share,
    /// One of these words.
    Words(Vec<&'static str>),
    /// The word "off", or that.
    Off(Box<Kind>),
    /// A reference to a secret.
    Secret,
    /// Text, or a reference to a secret.
    TextOrSecret,
    /// A list of such.
    List(Box<Kind>),
    /// One of such, or a list of them.
    OneOrMany(Box<Kind>),
    /// Who: one or a list.
    Who,
    /// A table with the keys that begin with this path.
    Table,
    /// A list of who, or a table.
    WhoOrTable,
    /// A name, or a table with `path`, `field` and `required`.
    Metadata,
    /// A table with `kid`, and `secret` or `public_key`.
    TokenKey,
}

impl Known {
    /// `session.idle_timeout`.
    pub(crate) fn dotted(&self) -> String {
        self.path.join(".")
    }

    /// Its last name.
    pub(crate) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The environment variable that overrides it, unless it is a table, a list, or below a free name.
    pub(crate) fn variable(&self) -> Option<String> {
        if self.path.iter().any(|name| name == "*" || name == "METHOD") || !self.kind.is_scalar() {
            return None;
        }
        Some(variable(&self.path))
    }
}

impl Kind {
    fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Table | Self::WhoOrTable | Self::Who)
    }
}

/// The name of the variable for a path.
pub(crate) fn variable(path: &[String]) -> String {
    let levels: Vec<String> = path.iter().map(|name| name.to_uppercase().replace('-', "_")).collect();
    format!("VESTIBULE_{}", levels.join("__"))
}

/// Every key there is, in the order in which they are read.
pub(crate) fn all() -> &'static [Known] {
    static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
        let reading = Reading::describing();
        let mut reader = Reader::root(&reading);
        super::root::read(&mut reader);
        reader.close();
        reading.into_known()
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_key_is_declared_once() {
        let all = all();
        let paths: BTreeSet<_> = all.iter().map(Known::dotted).collect();
        assert_eq!(paths.len(), all.len());
        assert!(all.len() > 60, "{}", all.len());
    }

    #[test]
    fn every_key_says_what_it_is() {
        for key in all() {
            assert!(key.doc.len() > 10 && key.doc.ends_with('.'), "{}: {:?}", key.dotted(), key.doc);
        }
    }

    #[test]
    fn variables_are_distinct_and_none_looks_like_a_service_link() {
        let all = all();
        let variables: Vec<_> = all.iter().filter_map(Known::variable).collect();
        assert_eq!(variables.iter().collect::<BTreeSet<_>>().len(), variables.len());
        for name in variables {
            assert!(!super::super::environment::is_ignored(&name), "{name}");
        }
    }
}
