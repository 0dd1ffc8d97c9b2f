//! Who holds a lock on a file, as far as the operating system tells.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// `"vestibule" (process 4121)`: another process with a lock on this SQLite file or its log; one that writes first.
pub(super) fn of(path: &Path) -> Option<String> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let inodes = ["", "-shm", "-wal"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        fs::metadata(name).ok().map(|metadata| metadata.ino())
    });
    let process = holder(&locks, &inodes, std::process::id())?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok();
    Some(match name {
        Some(name) => format!("{:?} (process {process})", name.trim()),
        None => format!("process {process}"),
    })
}

/// Reads lines such as `1: POSIX  ADVISORY  WRITE 4121 fd:00:2883623 120 120`.
fn holder(locks: &str, inodes: &[Option<u64>], ourselves: u32) -> Option<u32> {
    let mut holders: Vec<(bool, u32)> = locks
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(3);
            let (kind, process, file) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
            let inode = file.rsplit(':').next()?.parse().ok()?;
            (process != ourselves && inodes.contains(&Some(inode))).then_some((kind != "WRITE", process))
        })
        .collect();
    holders.sort_unstable();
    holders.first().map(|(_, process)| *process)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "1: POSIX  ADVISORY  READ 10 fd:00:500 123 123\n\
                         2: POSIX  ADVISORY  WRITE 11 fd:00:501 120 120\n\
                         3: POSIX  ADVISORY  WRITE 12 fd:00:777 0 EOF\n\
                         4: -> POSIX  ADVISORY  WRITE 13 fd:00:500 0 EOF\n\
                         5: FLOCK  ADVISORY  WRITE 99 fd:00:500 0 EOF\n";

    #[test]
    fn the_process_that_writes_is_named() {
        assert_eq!(holder(LOCKS, &[Some(500), Some(501), None], 99), Some(11));
        assert_eq!(holder(LOCKS, &[Some(500), None, None], 99), Some(10));
    }

    #[test]
    fn we_do_not_name_ourselves() {
        assert_eq!(holder(LOCKS, &[Some(777), None, None], 12), None);
        assert_eq!(holder("", &[Some(500)], 1), None);
    }
}
