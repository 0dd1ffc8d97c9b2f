use std::io::Write as _;

use super::Exit;

/// Writes to standard output and answers with how to end: a reader that went away (`| head`) is no failure.
pub fn print(text: &str) -> Exit {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => Exit::Fine,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Fine,
        Err(error) => {
            print_error(&format!("cannot write: {error}"));
            Exit::Refused
        }
    }
}

/// Writes to standard error; nobody can be told when that fails.
pub fn print_error(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}
