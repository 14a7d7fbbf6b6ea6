use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, statx};
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
        match open_at_once(&folder, path.as_path(), self.resolve) {
            Ok(found) => Ok(found),
            Err(Errno::AGAIN | Errno::INVAL) => {
                let (path, resolve) = (path.clone(), self.resolve);
                off_worker(move || open_patiently(&folder, path.as_path(), resolve)).await
            }
            Err(error) => Err(error.into()),
        }
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

/// Says what has been opened.
fn found(fd: OwnedFd, flags: AtFlags) -> Result<Option<Found>, Errno> {
    let wanted = StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::MTIME;
    let about = statx(&fd, "", AtFlags::EMPTY_PATH | flags, wanted)?;
    let modified = i128::from(about.stx_mtime.tv_sec) * 1_000_000_000 + i128::from(about.stx_mtime.tv_nsec);
    Ok(match FileType::from_raw_mode(about.stx_mode.into()) {
        FileType::RegularFile => {
            Some(Found::File(Opened { file: File::from(fd), length: about.stx_size, modified }))
        }
        FileType::Directory => Some(Found::Folder),
        _ => None,
    })
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Without waiting for whoever would write to a pipe.
fn open_beneath(folder: &OwnedFd, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat2(folder, path, flags, Mode::empty(), resolve)
}

/// By what the kernel has in memory alone, also of a file that another computer has.
fn open_at_once(folder: &OwnedFd, path: &Path, resolve: ResolveFlags) -> Result<Option<Found>, Errno> {
    let fd = open_beneath(folder, path, resolve | ResolveFlags::CACHED)?;
    found(fd, AtFlags::STATX_DONT_SYNC)
}

/// While something is moved, the kernel cannot say whether a path stays in the folder, and has to be asked again.
fn open_patiently(folder: &OwnedFd, path: &Path, resolve: ResolveFlags) -> io::Result<Option<Found>> {
    let mut opened = open_beneath(folder, path, resolve);
    for _ in 1..RESOLVED {
        match opened {
            Err(Errno::AGAIN | Errno::INTR) => opened = open_beneath(folder, path, resolve),
            _ => break,
        }
    }
    Ok(found(opened?, AtFlags::STATX_SYNC_AS_STAT)?)
}
