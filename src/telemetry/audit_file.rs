use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use nix::libc::O_NONBLOCK;

use super::settle::wait_until;

/// A file of lines about what operators do, for its owner only, written by a thread of its own: a disk that hangs stops
/// neither a change nor the next look at the process. Its thread ends when this is dropped and what waits is written.
#[derive(Debug)]
pub(crate) struct AuditFile {
    path: PathBuf,
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    handed: AtomicU64,
    written: AtomicU64,
    /// Whether the file is to be opened again. No order, because the queue may be full when it is wanted.
    reopen: AtomicBool,
}

/// What the writer is told.
enum Order {
    Line(Vec<u8>),
    /// Look at [`Shared::reopen`].
    Wake,
}

/// Lines that wait at most: nobody makes so many changes while a disk does what it should.
const QUEUE: usize = 1024;
const FOR_ITS_OWNER: u32 = 0o600;

impl AuditFile {
    /// Opens the file, for appending.
    ///
    /// # Errors
    /// When it cannot be opened, is no regular file, or no thread can be started.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = open(path)?;
        let (sender, orders) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let (of_writer, place) = (shared.clone(), path.to_owned());
        let writer = std::thread::Builder::new().name("audit-log".to_owned());
        writer.spawn(move || write_lines(&orders, &mut file, &place, &of_writer))?;
        Ok(Self { path: path.to_owned(), orders: sender, shared })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands a line over without waiting.
    pub(crate) fn write(&self, line: Vec<u8>) {
        match self.orders.try_send(Order::Line(line)) {
            Ok(()) => {
                self.shared.handed.fetch_add(1, Ordering::Release);
            }
            Err(_) => log::error!("the audit log is not written in time, and lacks a line"),
        }
    }

    /// Has the file opened again, by its path, before another line is written.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // When the queue is full, the writer is on its way to the flag anyway.
        let _ = self.orders.try_send(Order::Wake);
    }

    /// Waits until every line so far is written, at most `limit`. Blocks its thread: for the end of the process.
    pub(crate) fn settle(&self, limit: Duration) {
        let Shared { handed, written, .. } = &*self.shared;
        wait_until(limit, || written.load(Ordering::Acquire) >= handed.load(Ordering::Acquire));
    }
}

/// Nothing else than a file: a pipe would be waited for until somebody reads it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(FOR_ITS_OWNER).custom_flags(O_NONBLOCK);
    let file = options.open(path).and_then(|file| match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    });
    let told =
        |error: io::Error| io::Error::new(error.kind(), format!("audit log {}: {error}", path.display()));
    file.map_err(told)
}

fn write_lines(orders: &Receiver<Order>, file: &mut File, path: &Path, shared: &Shared) {
    while let Ok(order) = orders.recv() {
        if shared.reopen.swap(false, Ordering::AcqRel) {
            match open(path) {
                Ok(opened) => {
                    *file = opened;
                    log::info!("audit log opened again path={}", path.display());
                }
                Err(error) => {
                    log::error!("audit log cannot be opened again, the old file is kept error=\"{error}\"");
                }
            }
        }
        let Order::Line(line) = order else { continue };
        if let Err(error) = file.write_all(&line) {
            log::error!("audit log cannot be written, and lacks a line error=\"{error}\"");
        }
        shared.written.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn lines_are_appended_for_the_owner_only_and_the_file_may_be_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        for line in ["one\n", "two\n"] {
            let file = AuditFile::open(&path).unwrap();
            file.write(line.into());
            file.settle(PATIENCE);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let file = AuditFile::open(&path).unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write(b"three\n".to_vec());
        file.settle(PATIENCE);
        file.reopen();
        file.write(b"four\n".to_vec());
        file.settle(PATIENCE);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn what_is_no_file_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("none/audit.log"), "/dev/null".into()] {
            let error = AuditFile::open(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("audit log {}: ", path.display())), "{error}");
        }
    }
}
