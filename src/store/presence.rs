use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::Address;

/// Says that a server uses a store, as long as it is kept. The system takes it back however the process ends.
#[derive(Debug)]
pub struct Presence(#[expect(dead_code, reason = "held open: the lock is the file's")] File);

/// What came of saying so.
#[derive(Debug)]
pub enum Alone {
    /// Nobody else does.
    Yes(Presence),
    /// Another server does.
    No,
    /// It cannot be known, or is nobody's concern: other stores are made for several.
    Unknown,
}

impl Presence {
    /// Tells other servers on the SQLite file of this address, through a lock on a file beside it: a lock on the
    /// file itself would come into the way of SQLite's own, which end when anybody here closes the file.
    pub fn claim(address: &Address) -> Alone {
        let Address::Sqlite(path) = address else { return Alone::Unknown };
        let Ok(file) = open(path) else { return Alone::Unknown };
        match file.try_lock() {
            Ok(()) => Alone::Yes(Self(file)),
            Err(TryLockError::WouldBlock) => Alone::No,
            Err(TryLockError::Error(_)) => Alone::Unknown,
        }
    }
}

fn open(store: &Path) -> std::io::Result<File> {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_knows_of_the_first_as_long_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let claim = |path: &Path| Presence::claim(&Address::Sqlite(path.to_owned()));
        let first = claim(&here);
        assert!(matches!(first, Alone::Yes(_)));
        assert!(matches!(claim(&here), Alone::No));
        assert!(matches!(claim(&there), Alone::Yes(_)), "another store");
        drop(first);
        assert!(matches!(claim(&here), Alone::Yes(_)), "the file that is left says nothing");
        assert!(matches!(Presence::claim(&Address::Memory), Alone::Unknown));
    }
}
