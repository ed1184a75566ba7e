//! The admin listener's Unix socket: for the process's own user alone, and gone with the process.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

const BACKLOG: i32 = 128;
/// Who does not answer a connection for so long lives nonetheless, and is busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// The place of a socket; it is removed with this, unless another has taken it.
pub struct Place {
    path: PathBuf,
    inode: (u64, u64),
}

/// Listens at `path`. What is left there of a process that has ended is replaced; a socket that somebody
/// listens on, and anything that is no socket, is not.
pub async fn bind(path: &Path) -> io::Result<(UnixListener, Place)> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "there is something that is no socket",
            ));
        }
        Ok(_) if is_live(path).await => {
            return Err(io::Error::new(
                ErrorKind::AddrInUse,
                "another process listens there",
            ));
        }
        Ok(_) => {}
    }
    // Made under another name and put in its place once it is closed to others, so that it is never
    // open to them, and never absent.
    let made = path.with_file_name(format!(".{}", std::process::id()));
    let _ = fs::remove_file(&made);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Where the system lets this act on the file that `bind` makes, not even that is open for a moment.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    socket.bind(&SockAddr::unix(&made)?)?;
    let placed = (|| {
        fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let inode = inode(&made)?;
        let listener = UnixListener::from_std(socket.into())?;
        fs::rename(&made, path)?;
        let path = path.to_owned();
        Ok((listener, Place { path, inode }))
    })();
    if placed.is_err() {
        let _ = fs::remove_file(&made);
    }
    placed
}

/// Only a socket that nobody holds refuses a connection.
async fn is_live(path: &Path) -> bool {
    match timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) => error.kind() != ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => true,
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let is = fs::symlink_metadata(path)?;
    Ok((is.dev(), is.ino()))
}

impl Drop for Place {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|now| now == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn it_is_closed_to_others_and_gone_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let (listener, place) = bind(&path).await.unwrap();
        assert_eq!(mode(&path), 0o600);
        UnixStream::connect(&path).await.unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");

        let refused = bind(&path).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).await.unwrap();

        drop((listener, place));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, place) = bind(&path).await.unwrap();
        UnixStream::connect(&path).await.unwrap();

        // Another has put its own there meanwhile.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(place);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let refused = bind(&path).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
