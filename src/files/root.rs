use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use tokio::time::Instant;

use crate::config::spec::Symlinks;
use crate::types::FilePath;

use super::off_worker::off_worker;

/// A folder out of which nothing leads: the kernel itself resolves what is below it (`RESOLVE_BENEATH`), so that no link
/// that is made meanwhile changes where a path ends.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    folder: ArcSwap<OwnedFd>,
    resolve: ResolveFlags,
    opened: Instant,
    /// When it is to be looked next whether another folder has taken its place, in milliseconds from `opened`.
    look_at: AtomicU64,
}

/// What is there.
#[derive(Debug)]
pub(super) enum Found {
    File(Opened),
    Folder,
}

/// A regular file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) length: u64,
    /// Since 1970, in nanoseconds.
    pub(super) modified: i128,
}

/// How often it is looked for another folder, in milliseconds.
const LOOKED: u64 = 1000;
/// How often a path is resolved anew under which something is moved.
const RESOLVED: usize = 16;

impl Root {
    pub(super) fn open(path: &Path, symlinks: Symlinks, now: Instant) -> io::Result<Self> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let resolve = match symlinks {
            Symlinks::Within => beneath,
            Symlinks::Never => beneath | ResolveFlags::NO_SYMLINKS,
        };
        let folder = open_folder(path)?;
        // A kernel that cannot do it is found out now.
        open_beneath(&folder, Path::new("."), resolve)?;
        Ok(Self {
            path: path.to_owned(),
            folder: ArcSwap::from_pointee(folder),
            resolve,
            opened: now,
            look_at: AtomicU64::new(LOOKED),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What a path leads to; `None` for anything but a folder or a regular file.
    pub(super) async fn find(&self, path: &FilePath) -> io::Result<Option<Found>> {
        self.follow().await;
        let folder = self.folder.load_full();
        // What the kernel has in memory is had at once; all else may take a disk.
        let fd = match open_beneath(&folder, path.as_path(), self.resolve | ResolveFlags::CACHED) {
            Ok(fd) => fd,
            Err(Errno::AGAIN | Errno::INVAL) => {
                let (path, resolve) = (path.clone(), self.resolve);
                off_worker(move || open_patiently(&folder, path.as_path(), resolve)).await?
            }
            Err(error) => return Err(error.into()),
        };
        let file = File::from(fd);
        let about = file.metadata()?;
        Ok(match about.file_type() {
            kind if kind.is_file() => Some(Found::File(Opened::new(file, &about))),
            kind if kind.is_dir() => Some(Found::Folder),
            _ => None,
        })
    }

    /// Looks for another folder under the path, once in a while and one request at a time. What cannot be opened changes
    /// nothing.
    async fn follow(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.look_at.load(Ordering::Relaxed);
        let is_due = now >= due
            && self.look_at.compare_exchange(due, now + LOOKED, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !is_due {
            return;
        }
        let path = self.path.clone();
        if let Ok(folder) = off_worker(move || open_folder(&path)).await {
            self.folder.store(Arc::new(folder));
        }
    }
}

impl Opened {
    fn new(file: File, about: &Metadata) -> Self {
        let modified = i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec());
        Self { file, length: about.len(), modified }
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Without waiting for whoever would write to a pipe.
fn open_beneath(folder: &OwnedFd, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat2(folder, path, flags, Mode::empty(), resolve)
}

/// While something is moved, the kernel cannot say whether a path stays in the folder, and has to be asked again.
fn open_patiently(folder: &OwnedFd, path: &Path, resolve: ResolveFlags) -> io::Result<OwnedFd> {
    for _ in 1..RESOLVED {
        match open_beneath(folder, path, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            outcome => return Ok(outcome?),
        }
    }
    Ok(open_beneath(folder, path, resolve)?)
}
