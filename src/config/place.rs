use std::ops::Range;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In the file as a whole.
    Whole,
    /// These bytes of the file.
    Span(usize, usize),
    /// In an environment variable of this name.
    Variable(String),
}

impl From<Range<usize>> for Place {
    fn from(range: Range<usize>) -> Self {
        Self::Span(range.start, range.end)
    }
}

/// Line and column of a byte, both from 1; columns count characters.
pub(super) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
