use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How soon a change of a file is seen. Dates are asked for, instead of being told by the kernel: this also sees what happens on
/// network file systems and behind the links by which orchestrators swap whole folders.
const PERIOD: Duration = Duration::from_secs(1);

/// What changes when a file does, or who may read it. Copies may keep the date of their original, but never this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

/// Waits until files are to be looked at again.
pub(crate) async fn next_look() {
    sleep(PERIOD).await;
}

/// Looks at files beside the workers, since disks may hang and there may be much to read. `None` where the look panics or the
/// runtime ends.
pub(crate) async fn looking<T, S>(
    mut state: S,
    look: impl FnOnce(&mut S) -> T + Send + 'static,
) -> Option<(S, T)>
where
    S: Send + 'static,
    T: Send + 'static,
{
    let looked = spawn_blocking(move || {
        let found = look(&mut state);
        (state, found)
    });
    looked.await.ok()
}

impl Stamp {
    /// That of the file behind all links; `None` where there is none.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        let found = file.metadata().ok()?;
        Some(Self { changed: (found.ctime(), found.ctime_nsec()), length: found.len(), inode: found.ino() })
    }
}
