//! What is kept between two runs: the account and the certificate of each authority.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Error;

/// The files of one authority. Only our own account may read them.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder of an authority, made if it is not there.
    pub(super) fn open(above: &Path, directory: &str) -> Result<Self, Error> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        let name = directory.split_once("://").map_or(directory, |(_, rest)| rest).trim_matches('/');
        let path = above.join(name.chars().map(plain).collect::<String>());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let folder = Self(path.clone());
        // Told at the start rather than after the first order.
        made.and_then(|()| folder.write(PROBE, "")).map_err(|why| Error::Folder { path, why })?;
        folder.remove(PROBE);
        Ok(folder)
    }

    /// What a file holds; none if it is not there.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.0.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a file in place of the one before, whole or not at all.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let draft = self.0.join(format!("{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.0.join(name))
    }

    /// Takes a file away.
    pub(super) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.0.join(name));
    }

    /// For messages.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

const PROBE: &str = "probe";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn each_authority_has_files_of_its_own_that_nobody_else_reads() {
        let above = tempfile::tempdir().unwrap();
        let open = |directory| Folder::open(&above.path().join("acme"), directory).unwrap();
        let (one, other) = (open("https://ca.example.com/directory"), open("https://ca.example.com/../staging"));
        one.write("a", "first").unwrap();
        one.write("a", "second").unwrap();
        assert_eq!((one.read("a").unwrap().as_deref(), other.read("a").unwrap()), (Some("second"), None));
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(one.file("a")), mode(one.0.clone())), (0o600, 0o700));
        assert_eq!(fs::read_dir(above.path().join("acme")).unwrap().count(), 2);
        let nowhere = Folder::open(Path::new("/proc/none"), "https://ca.example.com/").unwrap_err();
        assert!(nowhere.to_string().starts_with("/proc/none/ca.example.com: "), "{nowhere}");
    }
}
