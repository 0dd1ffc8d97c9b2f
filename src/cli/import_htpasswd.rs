//! An Apache password file.

use super::import_users::{Importer, Incoming};
use super::operator::Failure;

/// Takes everybody of a file in; their addresses count as unproved.
pub(super) async fn take(text: &str, roles: &[String], importer: &mut Importer<'_>) -> Result<(), Failure> {
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, hash)) = line.split_once(':') else {
            importer.note(format!("line {number}: not of the form name:hash"));
            importer.count("refused");
            continue;
        };
        let incoming = Incoming {
            place: format!("line {number}"),
            email: Some(name.to_owned()),
            hash: Some(hash.to_owned()),
            roles: roles.iter().cloned().collect(),
            ..Incoming::default()
        };
        importer.take(incoming).await?;
    }
    Ok(())
}
