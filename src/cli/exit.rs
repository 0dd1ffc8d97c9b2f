use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As asked.
    Fine,
    /// The answer is no, or it failed.
    Refused,
    /// The arguments make no sense.
    Usage,
    /// The configuration is faulty.
    Config,
    /// A listener could not be opened.
    Listen,
    /// The store does not answer.
    Store,
    /// Ended by force before all requests were answered.
    Forced,
    /// A mistake of ours.
    Bug,
}

/// The end of `--help`.
pub(super) const HELP: &str = "Exit codes: 0 fine, 1 refused or failed, 2 usage, 3 configuration, 4 cannot listen, \
                               5 store, 6 ended by force, 101 bug";

impl Exit {
    /// The number the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Listen => 4,
            Self::Store => 5,
            Self::Forced => 6,
            Self::Bug => 101,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Says of a panic that it is our mistake; where it happened helps to find it, what it said may hold data.
pub(super) fn hook_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        super::print_error(&format!("this is a bug in vestibule {}, at {place}", env!("CARGO_PKG_VERSION")));
    }));
}
