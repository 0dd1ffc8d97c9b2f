//! Unix sockets that are listened on: their files, and who may open them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};

use super::bind::BACKLOG;

/// The file of a socket we listen on. It goes away with this, which is to be dropped after the socket.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

/// Listens on a path, with these permissions for the file. What a server that did not end in order left there is
/// removed; a socket that somebody answers on, and a file that is no socket, is not.
///
/// # Errors
/// `AddrInUse` when somebody listens there, `AlreadyExists` when it is a file of another kind; else what the system says.
pub(super) fn listen(path: &Path, permissions: u32) -> io::Result<(UnixListener, SocketFile)> {
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // The file is made with the mode of the socket, so there is no moment at which more may open it (unix(7)).
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(permissions))?;
    socket.bind(&SockAddr::unix(path)?)?;
    let made = SocketFile(path.to_owned());
    // The umask took some of it away again.
    fs::set_permissions(path, Permissions::from_mode(permissions))?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), made))
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if is_listened_on(path)? => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
    }
}

fn is_listened_on(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Else it would wait for a server that has no room.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Ok(true),
            io::ErrorKind::ConnectionRefused => Ok(false),
            _ => Err(error),
        },
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another server may have taken the path since.
        if matches!(is_listened_on(&self.0), Ok(false)) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_file_has_its_permissions_and_goes_away_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.sock");
        for permissions in [0o600, 0o660, 0o666] {
            let (listener, file) = listen(&path, permissions).unwrap();
            assert_eq!(mode(&path), permissions);
            drop((listener, file));
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_nobody_answers_on_is_taken_over_and_what_somebody_does_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.sock");
        let (listener, file) = listen(&path, 0o660).unwrap();
        assert_eq!(listen(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let newer = listen(&path, 0o660).unwrap();
        // The path is no longer that of the first.
        drop(file);
        assert!(path.exists());
        drop(newer);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "mine").unwrap();
        assert_eq!(listen(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
