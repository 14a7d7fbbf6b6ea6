use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;
use rustix::io::{Errno, ioctl_fionbio};

use super::{Batch, Sink, Unwritten};

/// A file, a pipe or a terminal.
struct Stream {
    out: Box<dyn Write + Send>,
    /// Where it can be opened again, if it is a file.
    path: Option<PathBuf>,
}

pub(in super::super) fn over(out: impl Write + Send + 'static) -> Box<dyn Sink> {
    Box::new(Stream { out: Box::new(out), path: None })
}

pub(super) fn open(path: &Path) -> io::Result<Box<dyn Sink>> {
    Ok(Box::new(Stream { out: Box::new(open_file(path)?), path: Some(path.to_owned()) }))
}

impl Sink for Stream {
    fn write(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        let written = self.out.write_all(&batch.text).and_then(|()| self.out.flush());
        written.map_err(|error| Unwritten { lines: batch.len(), error })
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open_file(path) {
            Ok(file) => {
                self.out = Box::new(file);
                log::info!("access log opened again path={}", path.display());
            }
            Err(error) => {
                log::error!("access log cannot be opened again, the old file is kept error={error}")
            }
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let told = |error: io::Error| {
        let reason = if is_unread_pipe(path, &error) {
            "nobody reads this pipe; start its reader first".to_owned()
        } else {
            error.to_string()
        };
        io::Error::new(error.kind(), format!("access log {}: {reason}", path.display()))
    };
    open_without_waiting(path).map_err(told)
}

/// A pipe would be waited for until somebody reads it, by a start or a change of the configuration.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).custom_flags(O_NONBLOCK).open(path)?;
    // Its thread may wait for a reader that is slow.
    ioctl_fionbio(&file, false)?;
    Ok(file)
}

fn is_unread_pipe(path: &Path, error: &io::Error) -> bool {
    let is_pipe = || path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_pipe()
}
