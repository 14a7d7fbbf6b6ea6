mod removal;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::block_file::{Writer, read_block, read_body, read_header};
use super::folder::{Folder, SHELVES};
use super::format::{Header, Layout};
use super::health::{Health, is_lack_of_room, is_of_a_file};
use super::rules::Rules;
use super::target_of_name;
use crate::cache::entry::{Body, Draft};
use crate::cache::purges::Names;
use crate::cache::s3fifo::{S3Fifo, Weigh};
pub(super) use removal::Swept;

/// The answers in a folder, while it is this process's. All that touches files waits for the disk, so none of it is for
/// threads that serve.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) folder: Folder,
    health: Arc<Health>,
    index: S3Fifo<Slot>,
    /// Whether the index knows all files.
    is_indexed: AtomicBool,
    rules: RwLock<Rules>,
    /// Whoever writes the rules to their file has this, so that the last are written last.
    saving: Mutex<()>,
    /// Whoever changes what lies under a name has its lock.
    locks: Box<[Mutex<()>]>,
    /// The targets whose answers are removed and may still be there, and how many have yet to look.
    doomed: Mutex<HashMap<u64, u32>>,
}

/// What is known of a file without a look at it.
#[derive(Debug)]
struct Slot {
    bytes: usize,
    /// Of answers under a name the one with the highest number is the last.
    number: u64,
}

/// An answer that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) draft: Draft,
    pub(super) layout: Layout,
    pub(super) body: FoundBody,
}

#[derive(Debug)]
pub(super) enum FoundBody {
    Whole(Arc<Body>),
    /// Only its first block has been read.
    Long(std::fs::File, Bytes),
}

/// An answer on its way to its place.
pub(super) struct Publication<'a> {
    pub(super) name: u128,
    pub(super) number: u64,
    pub(super) answer: Vec<u8>,
    /// Whether it is still what may be kept.
    pub(super) is_due: &'a (dyn Fn() -> bool + Sync),
}

const LOCKS: usize = 64;
/// One part of so many is given up where there is no room for more.
const SHARE_GIVEN_UP: usize = 16;
/// What files take of a disk is a multiple of that.
const PAGE: u64 = 4096;

impl Weigh for Slot {
    fn weight(&self) -> usize {
        self.bytes
    }
}

impl Shelf {
    /// What lies in a folder.
    pub(super) fn open(folder: Folder, size: usize, health: Arc<Health>) -> io::Result<Self> {
        let rules = folder.read_state()?.and_then(|state| Rules::decode(&state));
        let is_known = rules.is_some();
        let shelf = Self {
            folder,
            health,
            index: S3Fifo::new(size),
            is_indexed: AtomicBool::new(false),
            rules: RwLock::new(rules.unwrap_or_default()),
            saving: Mutex::default(),
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            doomed: Mutex::default(),
        };
        if !is_known {
            // Nobody knows what of it was removed.
            shelf.clear_all()?;
            shelf.save_rules()?;
        }
        Ok(shelf)
    }

    fn clear_all(&self) -> io::Result<()> {
        for shelf in 0..SHELVES {
            for name in self.folder.names(shelf)? {
                self.folder.remove(name)?;
            }
        }
        Ok(())
    }

    fn lock(&self, name: u128) -> &Mutex<()> {
        &self.locks[name as usize % LOCKS]
    }

    /// Whether there may be something under a name. Waits for nothing.
    pub(super) fn may_have(&self, name: u128) -> bool {
        let is_known = || !self.is_indexed.load(Ordering::Acquire) || self.index.peek(name).is_some();
        is_known() && !self.is_doomed(name)
    }

    /// The same of all answers for a target.
    pub(super) fn may_have_any(&self, target: u64) -> bool {
        !self.is_indexed.load(Ordering::Acquire) || self.index.has_group(target)
    }

    fn is_doomed(&self, name: u128) -> bool {
        self.doomed.lock().contains_key(&target_of_name(name))
    }

    /// What lies under a name. A body that is no longer than `most` is read whole.
    pub(super) fn find(&self, name: u128, most: usize) -> io::Result<Option<Found>> {
        match self.read(name, most) {
            Ok(found) => {
                if found.is_some() {
                    self.health.found_asked();
                }
                Ok(found)
            }
            Err(error) if is_of_a_file(&error) => {
                let _lock = self.lock(name).lock();
                self.give_up(name);
                self.health.lost_asked(error).map(|()| None)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a file that cannot be read, or puts it out of the way; whether that could be done. Its lock is held.
    fn give_up(&self, name: u128) -> bool {
        self.index.remove(name);
        self.folder.remove(name).map(drop).or_else(|_| self.folder.set_aside(name)).is_ok()
    }

    fn read(&self, name: u128, most: usize) -> io::Result<Option<Found>> {
        let lock = self.lock(name).lock();
        if self.is_doomed(name) {
            return Ok(None);
        }
        let Some(file) = self.folder.open(name)? else {
            self.index.remove(name);
            return Ok(None);
        };
        let Some((layout, draft)) =
            read_header(&file)?.and_then(|(header, layout)| self.fit(&header, layout))
        else {
            return self.drop_file(name).map(|()| None);
        };
        let evicted = match self.index.get(name) {
            Some(_) => Vec::new(),
            None => self.enter(name, layout.file(), 0),
        };
        drop(lock);
        self.clear(&evicted);
        let body = if layout.body <= most as u64 {
            read_body(&file, layout)?.map(FoundBody::Whole)
        } else {
            read_block(&file, layout, 0)?.map(|first| FoundBody::Long(file, first))
        };
        if body.is_none() {
            self.spoil(name, layout.id, None)?;
        }
        Ok(body.map(|body| Found { draft, layout, body }))
    }

    /// What a header says, unless it has been removed since.
    fn fit(&self, header: &Header, layout: Layout) -> Option<(Layout, Draft)> {
        let draft = Draft::decode(&header.answer)?;
        let is_removed = self.rules.read().remove(header.sequence, || draft.names());
        (!is_removed).then_some((layout, draft))
    }

    /// Notes a file, and says which have to go for it.
    fn enter(&self, name: u128, length: Option<u64>, number: u64) -> Vec<u128> {
        let bytes = length.unwrap_or(u64::MAX).div_ceil(PAGE).saturating_mul(PAGE);
        let slot = Arc::new(Slot { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), number });
        let mut evicted = Vec::new();
        if !self.index.insert_and_tell(name, slot, |name| evicted.push(name)) {
            evicted.push(name);
        }
        evicted
    }

    /// Removes files that the index has given up.
    fn clear(&self, evicted: &[u128]) {
        for &name in evicted {
            let _lock = self.lock(name).lock();
            // It may have come back meanwhile.
            if self.index.peek(name).is_none()
                && let Err(error) = self.folder.remove(name)
            {
                self.health.lost_file(&error);
            }
        }
    }

    /// Takes in what came of writing: where there is no room, some is made for later.
    pub(super) fn noting_room<T>(&self, result: io::Result<T>) -> io::Result<T> {
        match &result {
            Ok(_) => self.health.has_room(),
            Err(error) if is_lack_of_room(error) && self.health.has_no_room(error) => self.make_room(),
            Err(_) => {}
        }
        result
    }

    fn make_room(&self) {
        let bytes = self.index.bytes();
        let mut evicted = Vec::new();
        self.index.shrink_to(bytes - bytes / SHARE_GIVEN_UP, |name| evicted.push(name));
        self.clear(&evicted);
    }

    /// Removes a file whose lock is held.
    fn drop_file(&self, name: u128) -> io::Result<()> {
        self.index.remove(name);
        self.folder.remove(name).map(drop)
    }

    /// Removes a file with a block that is not as it was written, or cannot be read.
    pub(super) fn spoil(&self, name: u128, id: u64, error: Option<io::Error>) -> io::Result<()> {
        let _lock = self.lock(name).lock();
        let header = || Ok(self.folder.open(name)?.map(|file| read_header(&file)).transpose()?.flatten());
        // What came in its place is not to blame.
        let is_same = header().map(|header| header.is_none_or(|(header, _)| header.id == id));
        let dropped = match is_same {
            Ok(false) => return Ok(()),
            Ok(true) => self.drop_file(name),
            Err(error) => Err(error),
        };
        match error.or(dropped.err()) {
            None => Ok(()),
            Some(error) if is_of_a_file(&error) => {
                self.give_up(name);
                self.health.lost_asked(error)
            }
            Some(error) => Err(error),
        }
    }

    /// Gives an answer that was written its place, unless something newer lies there, or it has been removed meanwhile.
    pub(super) fn publish(&self, mut writer: Writer, publication: Publication<'_>) -> io::Result<()> {
        let Publication { name, number, answer, is_due } = publication;
        let names = Draft::decode(&answer).map(|draft| draft.names());
        let length = writer.finish(answer);
        let sequence = writer.sequence();
        let draft = writer.into_draft();
        let length = match length {
            Ok(Some(length)) => length,
            other => {
                self.folder.discard(&draft)?;
                return other.map(drop);
            }
        };
        let lock = self.lock(name).lock();
        let is_newest = self.index.peek(name).is_none_or(|slot| slot.number < number);
        let is_removed = |names: &Names| self.rules.read().remove(sequence, || names.clone());
        let is_sound = || names.as_ref().is_some_and(|names| !is_removed(names)) && is_due();
        let is_to_be = is_newest && is_sound();
        let published = if is_to_be { self.folder.publish(&draft, name) } else { Ok(()) };
        if !is_to_be || published.is_err() {
            self.folder.discard(&draft)?;
            return match published {
                // What lies there may be no file.
                Err(error) if is_of_a_file(&error) => {
                    self.give_up(name);
                    self.health.lost_asked(error)
                }
                published => published,
            };
        }
        let evicted = self.enter(name, Some(length), number);
        // Who removed it meanwhile may have looked before it was there.
        if !is_sound() {
            self.drop_file(name)?;
        }
        drop(lock);
        self.clear(&evicted);
        Ok(())
    }

    /// Gives a body that lies under a name another head.
    pub(super) fn rewrite(&self, name: u128, id: u64, number: u64, answer: Vec<u8>) -> io::Result<bool> {
        let _lock = self.lock(name).lock();
        let rewritten = self.write_head(name, id, number, answer);
        rewritten.or_else(|error| {
            // Nobody knows what stands there now.
            self.give_up(name);
            if is_of_a_file(&error) { self.health.lost_asked(error).map(|()| false) } else { Err(error) }
        })
    }

    fn write_head(&self, name: u128, id: u64, number: u64, answer: Vec<u8>) -> io::Result<bool> {
        let Some(file) = self.folder.open(name)? else { return Ok(false) };
        let Some((header, layout)) = read_header(&file)? else { return Ok(false) };
        let is_newer = self.index.peek(name).is_none_or(|slot| slot.number < number);
        if header.id != id || !is_newer {
            return Ok(false);
        }
        let Some(bytes) = (Header { answer, ..header }).encode_into(layout.header) else {
            self.drop_file(name)?;
            return Ok(false);
        };
        file.write_all_at(&bytes, 0)?;
        let bytes = self.index.peek(name).map(|slot| slot.bytes);
        if let Some(bytes) = bytes {
            self.index.insert(name, Arc::new(Slot { bytes, number }));
        }
        Ok(true)
    }

    /// How many bytes its files take.
    pub(super) fn bytes(&self) -> usize {
        self.index.bytes()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}
