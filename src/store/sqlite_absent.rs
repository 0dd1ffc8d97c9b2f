//! Stands for SQLite in a program that was built without it.

use std::path::Path;
use std::sync::Arc;

use super::{OpenError, Store};

pub(super) fn open(path: &Path) -> Result<Arc<dyn Store>, OpenError> {
    Err(OpenError::Absent { path: path.to_owned(), feature: "sqlite" })
}
