use super::code::Code;
use super::place::Place;

/// Something that is wrong (or, as a note, worth a look) at some place.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) place: Place,
    pub(super) help: Vec<String>,
}

impl Fault {
    pub(super) fn new(code: Code, message: impl Into<String>, place: Place) -> Self {
        Self { code, message: message.into(), place, help: Vec::new() }
    }

    pub(super) fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    pub(super) fn helps(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.help.extend(lines);
        self
    }
}

/// Why a value was not taken; the reader knows its place.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) help: Vec<String>,
}

impl Trouble {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: Vec::new() }
    }

    pub(super) fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    pub(super) fn at(self, place: Place) -> Fault {
        Fault { code: self.code, message: self.message, place, help: self.help }
    }
}
