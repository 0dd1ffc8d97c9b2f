use std::fmt;

use serde::Serialize;

use super::code::Code;
use super::fault::Fault;
use super::place::{Place, line_and_column};

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The file, as it was named.
    pub name: String,
    /// The problems; at least one of them is an error.
    pub problems: Vec<Problem>,
}

/// One problem, or one thing worth a look.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// Its stable number.
    #[serde(serialize_with = "as_text")]
    pub code: Code,
    /// The file, as it was named, or the environment variable.
    pub file: String,
    /// Its line, from 1; absent if it is about the file as a whole or about a variable.
    pub line: Option<usize>,
    /// Its column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// Ways out, one line each.
    pub help: Vec<String>,
    /// The whole as people read it, with the line of the file and a caret.
    #[serde(skip)]
    pub text: String,
}

impl Report {
    /// How many of the problems are errors.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| !problem.code.is_note()).count()
    }

    /// A problem with a file that could not even be read.
    pub(super) fn unread(name: &str, message: String, help: Vec<String>) -> Self {
        let fault = Fault::new(Code::NoFile, message, Place::Whole).helps(help);
        let problem = Source { name, text: "", hidden: &[] }.problem(fault);
        Self { name: name.to_owned(), problems: vec![problem] }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}\n")?;
        }
        let errors = self.errors();
        let plural = if errors == 1 { "error" } else { "errors" };
        write!(f, "{}: {errors} {plural}; nothing was started. ", printable(&self.name))?;
        write!(f, "`vestibule check --explain CODE` says more about one.")
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The file that problems are shown in.
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// What must not be shown: literal secrets.
    pub(super) hidden: &'a [(usize, usize)],
}

impl Source<'_> {
    /// Puts faults into the order of the file; notes are worth their lines only where there is no error.
    pub(super) fn report(&self, mut faults: Vec<Fault>) -> Report {
        if faults.iter().any(|fault| !fault.code.is_note()) {
            faults.retain(|fault| !fault.code.is_note());
        }
        faults.sort_by(|one, other| one.place.cmp(&other.place));
        let problems = faults.into_iter().map(|fault| self.problem(fault)).collect();
        Report { name: self.name.to_owned(), problems }
    }

    /// Gives a fault its line, and the form in which people read it.
    pub(super) fn problem(&self, fault: Fault) -> Problem {
        let kind = if fault.code.is_note() { "note" } else { "error" };
        let mut text = format!("{kind}[{}]: {}\n", fault.code, printable(&fault.message));
        let (file, position, margin) = match &fault.place {
            Place::Whole => (self.name.to_owned(), None, 1),
            Place::Variable(name) => (format!("environment variable {name}"), None, 1),
            Place::Span(start, _) => {
                let (line, column) = line_and_column(self.text, *start);
                (self.name.to_owned(), Some((line, column)), line.to_string().len())
            }
        };
        let margin = " ".repeat(margin);
        text += &format!("{margin}--> {}", printable(&file));
        if let (Some((line, column)), Place::Span(start, end)) = (position, &fault.place) {
            text += &format!(":{line}:{column}\n");
            let (shown, before, length) = self.line(*start, *end);
            text += &format!("{margin} |\n{line} | {shown}\n{margin} | {}{}", " ".repeat(before), "^".repeat(length));
        }
        for help in &fault.help {
            text += &format!("\n{margin} = help: {}", printable(help));
        }
        let (line, column) = position.unzip();
        Problem { code: fault.code, file, line, column, message: fault.message, help: fault.help, text }
    }

    /// The line of a span as it may be shown, how many characters stand before the span, and how many it marks.
    fn line(&self, start: usize, end: usize) -> (String, usize, usize) {
        let from = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let to = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |length| start + length);
        let (mut shown, mut before, mut marked) = (String::new(), 0, 0);
        let mut masked = None;
        for (offset, letter) in self.text[from..to].char_indices() {
            let at = from + offset;
            let hidden = self.hidden.iter().position(|(start, end)| (*start..*end).contains(&at));
            let piece = match hidden {
                Some(_) if hidden == masked => String::new(),
                Some(_) => "***".to_owned(),
                None => visible(letter),
            };
            masked = hidden;
            if at < start {
                before += piece.chars().count();
            } else if at < end {
                marked += piece.chars().count();
            }
            shown += &piece;
        }
        (shown.trim_end().to_owned(), before, marked.max(1))
    }
}

/// Control characters would speak to the terminal instead of the reader.
fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(letter: char) -> String {
    match letter {
        '\t' => " ".to_owned(),
        // Besides control characters: marks that turn the direction of the text around.
        _ if letter.is_control()
            || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
        {
            letter.escape_unicode().to_string()
        }
        _ => letter.to_string(),
    }
}

fn as_text<S: serde::Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, hidden: &[(usize, usize)], start: usize, end: usize) -> String {
        let fault = Fault::new(Code::Form, "no", Place::Span(start, end));
        Source { name: "a.toml", text, hidden }.problem(fault).text
    }

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        let text = "a = 1\nüb = \"x\"\n";
        assert_eq!(show(text, &[], 12, 15), "error[VB0107]: no\n --> a.toml:2:6\n  |\n2 | üb = \"x\"\n  |      ^^^");
    }

    #[test]
    fn what_is_hidden_is_masked_and_the_caret_follows() {
        let text = "a = \"hunter2\", b";
        let shown = show(text, &[(4, 13)], 15, 16);
        assert!(shown.ends_with("1 | a = ***, b\n  |          ^"), "{shown}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!show("a = '\u{1b}[31m'", &[], 0, 1).contains('\u{1b}'));
    }
}
