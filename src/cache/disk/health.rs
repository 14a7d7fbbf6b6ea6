use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::time::Instant;

use crate::types::Rarely;

/// What is wrong with the disk of a cache, and what is not asked of it for a while therefore. A file that fails is given up,
/// and is no reason to do without the others; where there is no room, nothing is written, and all is read as before.
#[derive(Debug)]
pub(super) struct Health {
    path: PathBuf,
    /// Nothing at all is asked of it.
    off: Mutex<Option<Pause>>,
    /// Nothing is written.
    full: Mutex<Option<Pause>>,
    /// Files that were given up, in all, and one after the other.
    lost: AtomicU64,
    in_a_row: AtomicU32,
    told: [Rarely; 3],
}

#[derive(Debug)]
struct Pause {
    since: Instant,
    until: Instant,
    why: String,
}

/// For how long the disk has not been asked for something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) since: Instant,
    pub(crate) why: String,
}

/// So long a disk that has failed, or has no room, is left alone.
pub(super) const REST: Duration = Duration::from_secs(30);
/// When so many files fail one after the other, it is the disk.
const MOST_IN_A_ROW: u32 = 16;

impl Health {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            off: Mutex::default(),
            full: Mutex::default(),
            lost: AtomicU64::new(0),
            in_a_row: AtomicU32::new(0),
            told: Default::default(),
        }
    }

    /// Whether nothing is asked of the disk now.
    pub(super) fn rests(&self) -> bool {
        is_on(&self.off)
    }

    /// Whether nothing is written to it now.
    pub(super) fn is_full(&self) -> bool {
        is_on(&self.full)
    }

    pub(super) fn off(&self) -> Option<Trouble> {
        trouble(&self.off)
    }

    pub(super) fn full(&self) -> Option<Trouble> {
        trouble(&self.full)
    }

    /// How many files were given up.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes in why work has failed.
    pub(super) fn failed(&self, error: &io::Error) {
        if is_lack_of_room(error) {
            self.has_no_room(error);
            return;
        }
        pause(&self.off, error);
        if self.told[0].may_tell(Instant::now()) {
            let (rest, path) = (REST.as_secs(), self.path.display());
            log::error!("cache does without its disk for {rest} s path={path} error={error:?}");
        }
    }

    /// The disk does what it is asked for.
    pub(super) fn works(&self) {
        end(&self.off);
    }

    /// It has no room; whether it is time to make some.
    pub(super) fn has_no_room(&self, error: &io::Error) -> bool {
        let is_news = !self.is_full();
        pause(&self.full, error);
        if is_news && self.told[1].may_tell(Instant::now()) {
            let (rest, path) = (REST.as_secs(), self.path.display());
            log::warn!(
                "cache writes nothing for {rest} s and gives up some of it path={path} error={error:?}"
            );
        }
        is_news && errno(error) != Some(Errno::ROFS)
    }

    pub(super) fn has_room(&self) {
        end(&self.full);
    }

    /// A file was given up for what is wrong with it alone.
    pub(super) fn lost_file(&self, error: &io::Error) {
        let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
        if self.told[2].may_tell(Instant::now()) {
            let path = self.path.display();
            log::warn!("a file of a cache is given up path={path} in_all={lost} error={error:?}");
        }
    }

    /// The same while a request waits.
    ///
    /// # Errors
    /// When that happens again and again: the disk fails then.
    pub(super) fn lost_asked(&self, error: io::Error) -> io::Result<()> {
        self.lost_file(&error);
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 < MOST_IN_A_ROW {
            return Ok(());
        }
        self.found_asked();
        Err(error)
    }

    /// A file was as it should be.
    pub(super) fn found_asked(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }
}

fn is_on(pause: &Mutex<Option<Pause>>) -> bool {
    pause.lock().as_ref().is_some_and(|pause| Instant::now() < pause.until)
}

fn trouble(pause: &Mutex<Option<Pause>>) -> Option<Trouble> {
    pause.lock().as_ref().map(|Pause { since, why, .. }| Trouble { since: *since, why: why.clone() })
}

/// Begins a pause, or goes on with the one before if nothing has worked since.
fn pause(pause: &Mutex<Option<Pause>>, error: &io::Error) {
    let now = Instant::now();
    let mut pause = pause.lock();
    let since = pause.as_ref().map_or(now, |pause| pause.since);
    *pause = Some(Pause { since, until: now + REST, why: error.to_string() });
}

/// Ends a pause that is over.
fn end(pause: &Mutex<Option<Pause>>) {
    let mut pause = pause.lock();
    if pause.as_ref().is_some_and(|pause| pause.until <= Instant::now()) {
        *pause = None;
    }
}

/// Whether it is only writing that fails.
pub(super) fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::NOSPC | Errno::DQUOT | Errno::ROFS))
        || error.kind() == io::ErrorKind::StorageFull
}

/// Whether it may be the file that is to blame, and neither the disk nor this process.
pub(super) fn is_of_a_file(error: &io::Error) -> bool {
    let is_other =
        matches!(errno(error), None | Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR));
    !is_other && !is_lack_of_room(error)
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn error(errno: Errno) -> io::Error {
        errno.into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_fails_is_left_alone_for_a_while() {
        let health = Health::new(PathBuf::new());
        let began = Instant::now();
        health.failed(&error(Errno::IO));
        assert!(health.rests() && !health.is_full());
        health.works();
        assert!(health.rests(), "what was begun before says nothing");
        advance(REST).await;
        assert!(!health.rests());
        assert_eq!(health.off().unwrap().since, began, "until something works");
        health.works();
        assert_eq!(health.off(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_all_is_read_as_before() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::ROFS] {
            let health = Health::new(PathBuf::new());
            health.failed(&error(errno));
            assert!(!health.rests() && health.is_full(), "{errno}");
            assert!(!health.has_no_room(&error(errno)), "{errno}");
            advance(REST).await;
            let makes_room = health.has_no_room(&error(errno));
            assert_eq!(makes_room, errno != Errno::ROFS, "{errno}");
        }
    }

    #[test]
    fn many_files_that_fail_in_a_row_are_a_disk_that_does() {
        let health = Health::new(PathBuf::new());
        for _ in 1..MOST_IN_A_ROW {
            health.lost_asked(error(Errno::IO)).unwrap();
        }
        health.found_asked();
        for _ in 1..MOST_IN_A_ROW {
            health.lost_asked(error(Errno::IO)).unwrap();
        }
        assert!(health.lost_asked(error(Errno::IO)).is_err());
        assert_eq!(health.lost(), u64::from(2 * MOST_IN_A_ROW - 1));
    }

    #[test]
    fn a_file_is_blamed_for_no_more_than_itself() {
        for (errno, expected) in [
            (Errno::IO, true),
            (Errno::ISDIR, true),
            (Errno::PERM, true),
            (Errno::ACCESS, true),
            (Errno::LOOP, true),
            (Errno::MFILE, false),
            (Errno::NOMEM, false),
            (Errno::NOSPC, false),
        ] {
            assert_eq!(is_of_a_file(&error(errno)), expected, "{errno}");
        }
        assert!(!is_of_a_file(&io::Error::from(io::ErrorKind::TimedOut)));
    }
}
