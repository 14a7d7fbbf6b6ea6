use std::io;
use std::sync::atomic::Ordering;

use super::Shelf;
use crate::cache::Purge;
use crate::cache::disk::block_file::read_header;
use crate::cache::disk::health::is_of_a_file;
use crate::cache::disk::rules::Unsaved;
use crate::cache::disk::target_of_name;
use crate::cache::entry::Draft;
use crate::cache::purges::Purges;

/// What came of a look through one of the [`SHELVES`](crate::cache::disk::folder::SHELVES).
#[derive(Debug)]
pub(in crate::cache::disk) struct Swept {
    /// What a rule has removed.
    pub(in crate::cache::disk) removed: Vec<u128>,
    /// Whether everything could be looked at, or is gone.
    pub(in crate::cache::disk) is_whole: bool,
}

/// So many removals are waited for; beyond, everything is removed.
const MOST_DOOMED: usize = 100_000;

impl Shelf {
    /// Has nothing found for a target from now on. Its files go by [`remove`](Self::remove).
    pub(in crate::cache::disk) fn doom(&self, target: u64) {
        let mut doomed = self.doomed.lock();
        *doomed.entry(target).or_default() += 1;
        if doomed.len() > MOST_DOOMED {
            self.rules.write().add(&Purge::All);
            doomed.clear();
        }
    }

    /// Removes the files of a target that was doomed.
    pub(in crate::cache::disk) fn remove(&self, target: u64) -> io::Result<()> {
        let names = if self.is_indexed.load(Ordering::Acquire) {
            self.index.group(target)
        } else {
            let mut names = self.folder.names((target >> 56) as u16)?;
            names.retain(|name| target_of_name(*name) == target);
            names
        };
        let mut is_gone = true;
        for name in names {
            let _lock = self.lock(name).lock();
            self.index.remove(name);
            if let Err(error) = self.folder.remove(name) {
                if !is_of_a_file(&error) {
                    return Err(error);
                }
                is_gone &= self.give_up(name);
                self.health.lost_file(&error);
            }
        }
        // As long as one may be there, nothing is found.
        let mut doomed = self.doomed.lock();
        if let Some(looking) = doomed.get_mut(&target).filter(|_| is_gone) {
            *looking -= 1;
            if *looking == 0 {
                doomed.remove(&target);
            }
        }
        Ok(())
    }

    /// From now on nothing is found that is meant. [`save_rules`](Self::save_rules) makes it last.
    pub(in crate::cache::disk) fn add_rule(&self, purge: &Purge) {
        self.rules.write().add(purge);
    }

    /// The same of all that was owed.
    pub(in crate::cache::disk) fn add_rules(&self, purges: &Purges) {
        let mut rules = self.rules.write();
        purges.iter().for_each(|(_, mark)| rules.add_mark(mark));
    }

    pub(in crate::cache::disk) fn sequence(&self) -> u64 {
        self.rules.read().sequence()
    }

    pub(in crate::cache::disk) fn save_rules(&self) -> io::Result<()> {
        let _saving = self.saving.lock();
        // Threads that serve ask for the rules, so nobody keeps them for as long as a disk takes.
        let unsaved = self.rules.write().unsaved();
        let saved = match unsaved {
            Unsaved::Nothing => Ok(()),
            Unsaved::More(records) => self.noting_room(self.folder.add_to_state(&records)),
            Unsaved::Whole(records) => self.noting_room(self.folder.write_state(&records)),
        };
        saved.or_else(|error| {
            self.rules.write().is_lost();
            // Without them nothing is found after a restart, with those from before what was removed since.
            self.folder.remove_state()?;
            Err(error)
        })
    }

    /// Looks through one of the [`SHELVES`](crate::cache::disk::folder::SHELVES): what is not known yet is noted, what was removed or is not whole goes, and what
    /// cannot be read.
    pub(in crate::cache::disk) fn sweep(&self, shelf: u16) -> io::Result<Swept> {
        let mut swept = Swept { removed: Vec::new(), is_whole: true };
        let has_rules = !self.rules.read().is_empty();
        let names = match self.folder.names(shelf) {
            Err(error) if is_of_a_file(&error) => {
                self.health.lost_file(&error);
                return Ok(Swept { is_whole: false, ..swept });
            }
            names => names?,
        };
        for name in names {
            if !has_rules && self.index.peek(name).is_some() {
                continue;
            }
            match self.look(name) {
                Ok(false) => {}
                Ok(true) => swept.removed.push(name),
                Err(error) if is_of_a_file(&error) => {
                    let _lock = self.lock(name).lock();
                    swept.is_whole &= self.give_up(name);
                    self.health.lost_file(&error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(swept)
    }

    /// Whether a rule has removed what lies under a name.
    fn look(&self, name: u128) -> io::Result<bool> {
        let lock = self.lock(name).lock();
        let Some(file) = self.folder.open(name)? else { return Ok(false) };
        let Some((header, layout)) = read_header(&file)? else {
            return self.drop_file(name).map(|()| false);
        };
        let Some(draft) = Draft::decode(&header.answer) else {
            return self.drop_file(name).map(|()| false);
        };
        if self.rules.read().remove(header.sequence, || draft.names()) {
            self.drop_file(name)?;
            return Ok(true);
        }
        let evicted = match self.index.peek(name) {
            Some(_) => Vec::new(),
            None => self.enter(name, layout.file(), 0),
        };
        drop(lock);
        self.clear(&evicted);
        Ok(false)
    }

    /// Whether there is nothing to look for in any file.
    pub(in crate::cache::disk) fn is_settled(&self) -> bool {
        self.is_indexed.load(Ordering::Acquire) && self.rules.read().is_empty()
    }

    /// All [`SHELVES`](crate::cache::disk::folder::SHELVES) have been looked through since there were so many rules.
    pub(in crate::cache::disk) fn settle(&self, sequence: u64) -> io::Result<()> {
        self.is_indexed.store(true, Ordering::Release);
        if sequence == 0 || self.rules.read().is_empty() {
            return Ok(());
        }
        self.rules.write().settle(sequence);
        self.save_rules()
    }
}
