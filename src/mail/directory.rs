use std::fs::{DirBuilder, File, OpenOptions, rename};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use lettre::Message;

use super::Error;
use crate::clock::Timestamp;
use crate::secret;

/// A folder that receives one `.eml` file per mail, readable by its owner alone: mails hold links that sign in.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(|source| Error::Directory { path: path.to_owned(), source })?;
        Ok(Self(path.to_owned()))
    }

    /// Writes the file under another name first, so that whoever watches the folder sees whole mails only.
    pub(super) fn put(&self, message: &Message, at: Timestamp) -> io::Result<()> {
        let tail: String = secret::random::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}-{tail}", at.millis());
        let (hidden, shown) = (self.0.join(format!(".{name}.part")), self.0.join(format!("{name}.eml")));
        let mut file = private_file(&hidden)?;
        file.write_all(&message.formatted())?;
        file.sync_all()?;
        rename(hidden, shown)
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
