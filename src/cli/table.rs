use std::fmt::Write as _;

use crate::clock::Timestamp;

/// Lines of columns under a head.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut lines: Vec<[String; N]> = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| std::array::from_fn(|column| cell(&row[column]))));
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for line in &lines {
        let mut out = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(out, "{cell:width$}  ");
        }
        text.push_str(out.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// What visitors chose, in a form that moves no cursor: names and user agents come from outside.
pub(super) fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let invisible =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || invisible || matches!(c, '\u{2028}' | '\u{2029}') {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { "-".to_owned() } else { out }
}

/// A moment, or a dash.
pub(super) fn moment(moment: Option<Timestamp>) -> String {
    moment.map_or_else(String::new, Timestamp::rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [["1".into(), "Ann".into()], ["1000".into(), String::new()]];
        assert_eq!(table(["ID", "NAME"], &rows), "ID    NAME\n1     Ann\n1000  -");
    }

    /// SEC-LOG-01
    #[test]
    fn sec_log_01_a_name_cannot_write_to_the_terminal() {
        assert_eq!(cell("a\u{1b}[2Jb\n\u{9b}1m\u{202e}"), "a\\u{1b}[2Jb\\u{a}\\u{9b}1m\\u{202e}");
        assert_eq!(cell("Ann \u{1f98a}"), "Ann \u{1f98a}");
    }
}
