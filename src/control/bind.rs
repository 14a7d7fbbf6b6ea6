use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::sync::watch;

use crate::net::SocketFile;

use super::connect::connect;

/// The control socket, bound and listening; its file is removed when this is dropped, unless another process answers there.
#[derive(Debug)]
pub(crate) struct BoundControl {
    socket: Option<UnixListener>,
    file: SocketFile,
    door: Arc<Door>,
}

/// Whether this process answers on the control socket, or another one does that has it too.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    is_open: watch::Sender<bool>,
    /// Whether no other process answers where this one does not.
    is_deserted: AtomicBool,
    /// Also keeps the inode from becoming somebody else's, even when the server is gone already.
    socket: UnixListener,
}

/// Why there can be no control socket at its place.
#[derive(Debug, thiserror::Error)]
#[error(
    "the control socket {} cannot be opened: {reason}; name another place in server.control_socket, or write `off`",
    path.display()
)]
pub(crate) struct CannotOpen {
    path: PathBuf,
    reason: String,
    #[source]
    source: io::Error,
}

/// Connections that wait to be accepted; the server accepts at once.
const BACKLOG: i32 = 16;

impl BoundControl {
    /// Opens the socket for its owner only. What a process that is gone left at the place is replaced; a socket on which
    /// somebody answers, and a file of any other kind, stay.
    ///
    /// # Errors
    /// When the place is taken or cannot be written to.
    pub(crate) fn open(path: &Path) -> Result<Self, CannotOpen> {
        bind(path).map_err(|source| CannotOpen { path: path.to_owned(), reason: explain(&source), source })
    }

    /// Goes on with the socket of another process, and answers once its door is opened.
    ///
    /// # Errors
    /// When its file is gone, or there are no descriptors.
    pub(crate) fn adopt(path: &Path, socket: OwnedFd) -> io::Result<Self> {
        Self::new(socket.into(), SocketFile::at(path)?, false)
    }

    fn new(socket: UnixListener, file: SocketFile, is_open: bool) -> io::Result<Self> {
        let (path, keeper) = (file.path().to_owned(), socket.try_clone()?);
        let door = Arc::new(Door {
            path,
            is_open: watch::Sender::new(is_open),
            is_deserted: AtomicBool::new(false),
            socket: keeper,
        });
        Ok(Self { socket: Some(socket), file, door })
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// The socket for the server, once, while this keeps the file.
    pub(crate) fn take_socket(&mut self) -> Option<UnixListener> {
        self.socket.take()
    }
}

impl Door {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The socket under another descriptor, for another process.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        Ok(self.socket.try_clone()?.into())
    }

    /// This process answers from now on.
    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// It answers nobody who comes from now on.
    pub(crate) fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Nobody else does either: the file goes with this process.
    pub(crate) fn desert(&self) {
        self.is_deserted.store(true, Ordering::Release);
    }

    /// Whether it answers.
    pub(crate) fn is_open(&self) -> watch::Receiver<bool> {
        self.is_open.subscribe()
    }
}

impl Drop for BoundControl {
    fn drop(&mut self) {
        if *self.door.is_open.borrow() || self.door.is_deserted.load(Ordering::Acquire) {
            self.file.remove();
        }
    }
}

/// The socket gets its mode under a name of its own, before it listens, and its real name after: so it is never there
/// with another mode, nor without somebody behind it. The umask would do the first, but it is the whole process's, and
/// other threads make files meanwhile.
fn bind(path: &Path) -> io::Result<BoundControl> {
    // What cannot be connected to needs no folder either.
    SockAddr::unix(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    check_is_free(path)?;
    let unnamed = folder.join(format!(".{}.sock", std::process::id()));
    // A process that had this id may have been killed between its own two steps.
    let _ = fs::remove_file(&unnamed);
    let bound = bind_in_private(&unnamed).and_then(|(socket, file)| {
        fs::rename(&unnamed, path)?;
        BoundControl::new(socket, file.renamed(path), true)
    });
    if bound.is_err() {
        let _ = fs::remove_file(&unnamed);
    }
    bound
}

fn bind_in_private(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), SocketFile::at(path)?))
}

/// Nothing there, or a socket on which nobody answers.
fn check_is_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process answers there".to_owned(),
        io::ErrorKind::AlreadyExists => "a file that is no socket is there".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not write to its folder".to_owned(),
        io::ErrorKind::InvalidInput => "the path is too long for a Unix socket".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(path: &Path) -> String {
        BoundControl::open(path).unwrap_err().reason
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_socket_and_a_folder_made_for_it_are_the_owners_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/evener.sock");
        let bound = BoundControl::open(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        connect(&path).unwrap();
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_was_left_is_replaced_and_one_that_answers_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evener.sock");
        drop(UnixListener::bind(&path).unwrap());
        let bound = BoundControl::open(&path).unwrap();
        let error = BoundControl::open(&path).unwrap_err().to_string();
        let expected = format!(
            "the control socket {} cannot be opened: another process answers there; \
             name another place in server.control_socket, or write `off`",
            path.display()
        );
        assert_eq!(error, expected);
        connect(&path).unwrap();
        drop(bound);
    }

    #[test]
    fn a_stuck_process_counts_as_one_that_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evener.sock");
        let _bound = BoundControl::open(&path).unwrap();
        let mut waiting = Vec::new();
        while let Ok(connection) = connect(&path) {
            waiting.push(connection);
        }
        assert_eq!(reason(&path), "another process answers there");
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert_eq!(reason(&path), "a file that is no socket is there");
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[test]
    fn a_socket_of_somebody_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evener.sock");
        let bound = BoundControl::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(bound);
        connect(&path).unwrap();
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(120));
        assert_eq!(reason(&path), "the path is too long for a Unix socket");
        assert_eq!(reason(&path.join("evener.sock")), "the path is too long for a Unix socket");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
