use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;
use rustix::io::{Errno, ioctl_fionbio};

use super::{Batch, LogKind, Sink, Unwritten};

/// A file, a pipe or a terminal.
struct Stream {
    out: Box<dyn Write + Send>,
    /// Where it can be opened again, if it is a file.
    file: Option<Place>,
    /// Whether what was written last is only a piece of a line, as on a disk that is full.
    is_torn: bool,
}

struct Place {
    log: &'static LogKind,
    path: PathBuf,
    kind: FileKind,
}

/// What may stand under the path of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum FileKind {
    /// Whatever can be written to, as readable as the process has its files.
    Any,
    /// A file, for the process's user only unless there is one already.
    Private,
}

pub(in crate::telemetry) fn over(out: impl Write + Send + 'static) -> Box<dyn Sink> {
    Box::new(Stream { out: Box::new(out), file: None, is_torn: false })
}

/// Opens a file for appending, or makes it. Does not wait for the reader of a pipe.
///
/// # Errors
/// When that cannot be done, or it is of another kind.
pub(in crate::telemetry) fn open_file(
    log: &'static LogKind,
    path: &Path,
    kind: FileKind,
) -> io::Result<Box<dyn Sink>> {
    let place = Place { log, path: path.to_owned(), kind };
    let file = place.open()?;
    let is_torn = ends_within_a_line(&file, path);
    Ok(Box::new(Stream { out: Box::new(file), file: Some(place), is_torn }))
}

// === Stream ===

impl Sink for Stream {
    fn write(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        if self.is_torn {
            // Else the next line would be lost with the piece.
            self.out.write_all(b"\n").map_err(|error| Unwritten { lines: batch.len(), error })?;
            self.is_torn = false;
        }
        let mut taken = 0;
        while taken < batch.text().len() {
            match self.out.write(&batch.text()[taken..]) {
                Ok(0) => return Err(self.stop(taken, batch, io::ErrorKind::WriteZero.into())),
                Ok(more) => taken += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.stop(taken, batch, error)),
            }
        }
        self.out.flush().map_err(|error| Unwritten { lines: batch.len(), error })
    }

    fn reopen(&mut self) {
        let Some(place) = &self.file else { return };
        let Place { log, path, .. } = place;
        match place.open() {
            Ok(file) => {
                self.is_torn = ends_within_a_line(&file, path);
                self.out = Box::new(file);
                log::info!("{} opened again path={}", log.name, path.display());
            }
            Err(error) => {
                log::error!("{} cannot be opened again, the old file is kept error=\"{error}\"", log.name);
            }
        }
    }
}

impl Stream {
    fn stop(&mut self, taken: usize, batch: &Batch, error: io::Error) -> Unwritten {
        self.is_torn = taken > 0 && batch.text()[taken - 1] != b'\n';
        Unwritten::after(taken, batch.ends(), error)
    }
}

// === Place ===

const FOR_ITS_OWNER: u32 = 0o600;
const FOR_OTHERS: u32 = 0o007;

impl Place {
    fn open(&self) -> io::Result<File> {
        let Self { log, path, kind } = self;
        let opened = match kind {
            FileKind::Any => open_without_waiting(path),
            FileKind::Private => open_private(log, path),
        };
        opened.map_err(|error| {
            let reason = if is_unread_pipe(path, &error) {
                "nobody reads this pipe; start its reader first".to_owned()
            } else {
                error.to_string()
            };
            io::Error::new(error.kind(), format!("{} {}: {reason}", log.name, path.display()))
        })
    }
}

/// A pipe would be waited for until somebody reads it, by a start or a change of the configuration.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).custom_flags(O_NONBLOCK).open(path)?;
    // Its thread may wait for a reader that is slow.
    ioctl_fionbio(&file, false)?;
    Ok(file)
}

fn open_private(log: &LogKind, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(FOR_ITS_OWNER).custom_flags(O_NONBLOCK);
    let file = options.open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    if found.mode() & FOR_OTHERS != 0 {
        // Whoever made it so may have meant it: a log that nobody can collect is of no use.
        log::warn!(
            "{} is open to every user of this machine path={} mode={:04o}; `chmod o=` it unless that is meant",
            log.name,
            path.display(),
            found.mode() & 0o7777
        );
    }
    Ok(file)
}

/// Whether the last line of a file is only a piece of one, which a disk that was full has left. What cannot be read is taken to
/// be whole.
fn ends_within_a_line(file: &File, path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let found = file.metadata()?;
        let Some(at) = found.len().checked_sub(1).filter(|_| found.is_file()) else { return Ok(b'\n') };
        let mut last = [0];
        // It is open for appending only, or an unread pipe could not be told from a read one.
        File::open(path)?.read_exact_at(&mut last, at)?;
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

fn is_unread_pipe(path: &Path, error: &io::Error) -> bool {
    let is_pipe = || path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_pipe()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// A disk that has so much room left.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (text, room) = &mut *self.0.lock();
            let fits = bytes.len().min(*room);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            text.extend_from_slice(&bytes[..fits]);
            *room -= fits;
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::default();
        lines.iter().for_each(|line| batch.push(format!("{line}\n").as_bytes()));
        batch
    }

    #[test]
    fn a_piece_of_a_line_costs_no_other_line() {
        let disk = Disk::default();
        let mut sink = over(disk.clone());
        disk.0.lock().1 = 6;
        assert_eq!(sink.write(&batch(&["one", "two", "three"])).unwrap_err().lines, 2);
        assert_eq!(sink.write(&batch(&["four", "five"])).unwrap_err().lines, 2);
        disk.0.lock().1 = 100;
        assert!(sink.write(&batch(&["six"])).is_ok());
        assert!(sink.write(&batch(&["seven"])).is_ok());
        assert_eq!(String::from_utf8(disk.0.lock().0.clone()).unwrap(), "one\ntw\nsix\nseven\n");
    }

    #[test]
    fn nor_does_one_that_was_there_before() {
        static LOG: LogKind = LogKind { name: "log", thread: "log", most_lines: 1 };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for kind in [FileKind::Any, FileKind::Private] {
            std::fs::write(&path, "whole\npie").unwrap();
            let mut sink = open_file(&LOG, &path, kind).unwrap();
            assert!(sink.write(&batch(&["one"])).is_ok());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\npie\none\n");
            std::fs::write(&path, "another pie").unwrap();
            sink.reopen();
            assert!(sink.write(&batch(&["two"])).is_ok());
            sink.reopen();
            assert!(sink.write(&batch(&["three"])).is_ok());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "another pie\ntwo\nthree\n");
        }
    }

    #[test]
    fn a_disk_that_is_full_between_lines_leaves_no_empty_one() {
        let disk = Disk::default();
        let mut sink = over(disk.clone());
        disk.0.lock().1 = 4;
        assert_eq!(sink.write(&batch(&["one", "two"])).unwrap_err().lines, 1);
        disk.0.lock().1 = 100;
        assert!(sink.write(&batch(&["three"])).is_ok());
        assert_eq!(String::from_utf8(disk.0.lock().0.clone()).unwrap(), "one\nthree\n");
    }
}
