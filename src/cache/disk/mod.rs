//! Answers in files: what does not fit into memory, or is to be there after a restart.
//!
//! [`mod@format`] is how an answer lies in a file, [`folder`] where the files are, [`shelf`] what is in them and what has to go;
//! all of that waits for the disk, on threads of [`workers`]. [`Disk`] is what others see of it. A file gets its name when it
//! is whole, and everything in it has a checksum: after a crash there are answers that are whole, and files that go when
//! somebody looks at them.

mod block_file;
mod folder;
mod format;
mod health;
mod long_body;
mod long_fill;
mod rules;
mod shelf;
mod tenancy;
mod workers;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use pingora_cache::CacheKey;
use pingora_cache::key::{CacheHashKey, HashBinary};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::entry::{Body, Draft, Entry};
use super::key::target_of;
use super::purges::Purges;
use super::{Purge, Purged};
use block_file::Writer;
use folder::{Folder, Unusable};
use format::Header;
use health::Health;
pub(crate) use health::Trouble;
pub(super) use long_body::LongBody;
pub(super) use long_fill::LongFill;
use shelf::{FoundBody, Publication, Shelf};
pub(crate) use tenancy::Unreserved;
use workers::Workers;

/// The answers of a cache that lie in a folder.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    size: usize,
    health: Arc<Health>,
    /// The folder, until it is served from.
    reserved: Mutex<Option<Folder>>,
    /// Whether somebody has begun to serve from it.
    is_begun: AtomicBool,
    /// Whether this process takes the place of the one that has the folder.
    succeeds: AtomicBool,
    /// While the folder is this process's.
    shelf: ArcSwapOption<Shelf>,
    /// What was removed while it was not.
    owed: Mutex<Owed>,
    workers: Arc<Workers>,
    /// For KiB of bodies that wait to be written.
    room: Arc<Semaphore>,
    numbers: AtomicU64,
    /// Held by who looks through all files.
    sweeping: tokio::sync::Mutex<()>,
    /// Told when there is something to look for in all files.
    sweep_is_due: Notify,
}

#[derive(Debug, Default)]
struct Owed {
    purges: Purges,
    targets: HashSet<u64>,
}

/// How a disk is.
#[derive(Clone, Debug)]
pub(crate) struct DiskState {
    pub(crate) path: PathBuf,
    /// What files take of it, and may take.
    pub(crate) bytes: usize,
    pub(crate) size: usize,
    pub(crate) has_folder: bool,
    /// Why nothing is asked of it, and why nothing is written.
    pub(crate) off: Option<Trouble>,
    pub(crate) full: Option<Trouble>,
    /// How many files were given up for what is wrong with them.
    pub(crate) lost: u64,
}

/// An answer that was found.
#[derive(Debug)]
pub(super) enum Found {
    Whole(Draft, Arc<Body>),
    Long(Draft, LongBody),
}

/// The place that an answer gets when all of it has come.
#[derive(Debug)]
pub(super) struct Ticket {
    disk: Arc<Disk>,
    /// The folder when the answer began to come.
    shelf: Weak<Shelf>,
    name: u128,
    number: u64,
    sequence: u64,
    /// Which body it is.
    pub(super) id: u64,
}

/// Bodies up to this length are kept in memory too, and are read as a whole before any of it is given.
pub(super) const MOST_WHOLE: usize = 1 << 20;
/// So many KiB wait to be written; beyond, answers stay in memory only.
const MOST_WAITING: usize = 64 << 10;
/// So much is owed one by one, of either kind; beyond, everything goes.
const MOST_OWED: usize = 100_000;
/// So long an operator waits for all files to be looked through.
const SWEEP_PATIENCE: Duration = Duration::from_secs(2);

/// The name of the file of an answer: hashes of its target and of all that it is known by.
pub(super) fn name(key: &[u8], place: Option<HashBinary>) -> u128 {
    let length = (key.len() as u64).to_be_bytes();
    let place = place.as_ref().map_or(&[][..], |place| &place[..]);
    u128::from(target(key)) << 64 | u128::from(hash(&[&length, key, place]))
}

/// The upper half of the names of all answers for the target of a key.
pub(super) fn target(key: &[u8]) -> u64 {
    hash(&[target_of(key)])
}

fn target_of_name(name: u128) -> u64 {
    (name >> 64) as u64
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

pub(super) fn name_of(key: &CacheKey) -> u128 {
    name(key.primary_key(), key.variance_bin())
}

impl Disk {
    /// Whether there can be a disk here; nothing is touched.
    ///
    /// # Errors
    /// When not, with what to do.
    pub(crate) fn check(path: &Path) -> Result<(), Unusable> {
        Folder::check(path)
    }

    /// The folder is not touched before [`reserve`](Self::reserve) or [`serve`](Self::serve).
    pub(crate) fn new(path: PathBuf, size: usize) -> Self {
        let health = Arc::new(Health::new(path.clone()));
        Self {
            workers: Arc::new(Workers::new(health.clone())),
            health,
            path,
            size,
            reserved: Mutex::default(),
            is_begun: AtomicBool::new(false),
            succeeds: AtomicBool::new(false),
            shelf: ArcSwapOption::empty(),
            owed: Mutex::default(),
            room: Arc::new(Semaphore::new(MOST_WAITING)),
            numbers: AtomicU64::new(1),
            sweeping: tokio::sync::Mutex::default(),
            sweep_is_due: Notify::new(),
        }
    }

    fn shelf(&self) -> Option<Arc<Shelf>> {
        self.shelf.load_full().filter(|_| !self.health.rests())
    }

    pub(crate) fn state(&self) -> DiskState {
        let shelf = self.shelf.load_full();
        DiskState {
            path: self.path.clone(),
            bytes: shelf.as_ref().map_or(0, |shelf| shelf.bytes()),
            size: self.size,
            has_folder: shelf.is_some(),
            off: self.health.off(),
            full: self.health.full(),
            lost: self.health.lost(),
        }
    }

    // === Finding ===

    pub(super) async fn find(&self, key: &CacheKey) -> Option<Found> {
        let shelf = self.shelf()?;
        let name = name_of(key);
        if !shelf.may_have(name) {
            return None;
        }
        let owner = Arc::downgrade(&shelf);
        let found = self.workers.run_soon(move || shelf.find(name, MOST_WHOLE)).await??;
        if !found.draft.is_of(key) {
            return None;
        }
        Some(match found.body {
            FoundBody::Whole(body) => Found::Whole(found.draft, body),
            FoundBody::Long(file, first) => {
                let body = LongBody::new(file, found.layout, first, name, owner, self.workers.clone());
                Found::Long(found.draft, body)
            }
        })
    }

    // === Keeping ===

    /// What an answer needs that begins to come; `None` while there is no disk for it, or no room on it.
    pub(super) fn ticket(self: &Arc<Self>, key: &CacheKey) -> Option<Ticket> {
        let shelf = self.shelf().filter(|_| !self.health.is_full())?;
        Some(Ticket {
            disk: self.clone(),
            name: name_of(key),
            number: self.number(),
            sequence: shelf.sequence(),
            id: crate::types::with_random(|random| random.u64(..)),
            shelf: Arc::downgrade(&shelf),
        })
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives the body of this id another head, some time.
    pub(super) fn renew(self: &Arc<Self>, key: &CacheKey, id: u64, head: &Draft) {
        let (Some(shelf), Ok(room)) = (self.shelf(), self.room.clone().try_acquire_owned()) else { return };
        let (name, number, answer) = (name_of(key), self.number(), head.encode());
        let shelf = Arc::downgrade(&shelf);
        let workers = self.workers.clone();
        tokio::spawn(async move {
            let _room = room;
            workers
                .run(move || {
                    shelf.upgrade().map_or(Ok(false), |shelf| shelf.rewrite(name, id, number, answer))
                })
                .await
        });
    }

    // === Removing ===

    /// Removes what lies there for a target: it is not found from now on.
    pub(super) fn remove(&self, target: u64) {
        let mut owed = self.owed.lock();
        let Some(shelf) = self.shelf.load_full() else {
            return owed.add_target(target);
        };
        drop(owed);
        if !shelf.may_have_any(target) {
            return;
        }
        shelf.doom(target);
        let workers = self.workers.clone();
        tokio::spawn(async move { workers.run(move || shelf.remove(target)).await });
    }

    /// Removes what is meant: it is not found from now on. Counted is what is not `known` to be gone already.
    pub(super) async fn purge(&self, purge: &Purge, known: HashSet<u128>) -> Purged {
        let shelf = {
            let mut owed = self.owed.lock();
            let shelf = self.shelf.load_full();
            match &shelf {
                Some(shelf) => shelf.add_rule(purge),
                None => owed.add_purge(purge),
            }
            shelf
        };
        let Some(shelf) = shelf else { return Purged { answers: 0, is_complete: false } };
        let saved = shelf.clone();
        self.workers.run_soon(move || saved.save_rules()).await;
        let counted = AtomicU64::new(0);
        let count = |names: &[u128]| {
            let news = names.iter().filter(|name| !known.contains(name)).count();
            counted.fetch_add(news as u64, Ordering::Relaxed);
        };
        let sweep = timeout(SWEEP_PATIENCE, self.sweep(&shelf, count)).await;
        let is_complete = matches!(sweep, Ok(Some(true)));
        if !is_complete {
            self.sweep_is_due.notify_one();
        }
        Purged { answers: counted.load(Ordering::Relaxed) as usize, is_complete }
    }
}

impl Owed {
    fn add_target(&mut self, target: u64) {
        if self.targets.len() < MOST_OWED {
            self.targets.insert(target);
        } else {
            self.add_purge(&Purge::All);
        }
    }

    fn add_purge(&mut self, purge: &Purge) {
        if *purge == Purge::All || self.purges.len() >= MOST_OWED {
            *self = Self::default();
            self.purges.add((&Purge::All).into(), 1);
        } else {
            self.purges.add(purge.into(), 1);
        }
    }
}

impl Ticket {
    /// Writes an answer, some time, if it is still to be kept then.
    pub(super) fn keep(self, entry: Arc<Entry>, is_due: impl Fn() -> bool + Send + Sync + 'static) {
        let weight = (entry.body.length / 1024 + 1) as u32;
        let Ok(room) = self.disk.room.clone().try_acquire_many_owned(weight) else { return };
        let workers = self.disk.workers.clone();
        tokio::spawn(async move {
            let _room = room;
            workers.run(move || self.write(&entry, &is_due)).await
        });
    }

    fn write(&self, entry: &Entry, is_due: &(dyn Fn() -> bool + Sync)) -> std::io::Result<()> {
        let Some(shelf) = self.shelf.upgrade() else { return Ok(()) };
        let answer = entry.draft().encode();
        let header = self.header(answer.clone());
        let Some(mut writer) =
            shelf.noting_room(Writer::begin(&shelf.folder, header, Some(entry.body.length)))?
        else {
            return Ok(());
        };
        for piece in &entry.body.pieces {
            if let Err(error) = writer.write(piece) {
                shelf.folder.discard(&writer.into_draft())?;
                return shelf.noting_room(Err(error));
            }
        }
        shelf.noting_room(shelf.publish(writer, self.publication(answer, is_due)))
    }

    fn header(&self, answer: Vec<u8>) -> Header {
        Header { id: self.id, sequence: self.sequence, body: 0, answer }
    }

    fn publication<'a>(&self, answer: Vec<u8>, is_due: &'a (dyn Fn() -> bool + Sync)) -> Publication<'a> {
        Publication { name: self.name, number: self.number, answer, is_due }
    }
}

#[cfg(test)]
mod tests;
