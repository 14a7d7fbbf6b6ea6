use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes when a file does, or who may read it. Copies may keep the date of their original, but never this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

impl Stamp {
    /// That of the file behind all links; `None` where there is none.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        let found = file.metadata().ok()?;
        Some(Self { changed: (found.ctime(), found.ctime_nsec()), length: found.len(), inode: found.ino() })
    }
}
