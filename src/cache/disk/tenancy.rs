//! How a process comes to have the folder, and lets go of it.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::folder::{Folder, SHELVES, Taken};
use super::health::REST;
use super::shelf::{Shelf, Swept};
use super::{Disk, Owed};

/// Who asks for the folder tries so often to have it, who waits for it to be free so often.
const ASKING: Duration = Duration::from_millis(100);
const WAITING: Duration = Duration::from_secs(1);
/// So often a configuration tries quickly to have what the one before lets go of.
const MOST_QUICK: u32 = 50;
/// Who has it looks so often whether another asks.
const LISTENING: Duration = Duration::from_millis(500);

/// All files are looked through again so long after some could neither be looked at nor removed.
const STUCK: Duration = Duration::from_secs(600);

/// Why a process cannot have a folder from its start on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreserved {
    #[error("another process has it{}", .0.map(|process| format!(" ({process})")).unwrap_or_default())]
    Taken(Option<u32>),
    #[error(transparent)]
    Unusable(#[from] io::Error),
}

/// The folder is let go of with it.
struct Tenancy<'d>(&'d Disk);

impl Drop for Tenancy<'_> {
    fn drop(&mut self) {
        self.0.shelf.store(None);
    }
}

impl Disk {
    /// Has the folder from now on, before anything is served, so that two that are started do not both believe so.
    ///
    /// # Errors
    /// When another process has it, or nobody can. Once it is served, that is no error any more.
    pub(crate) fn reserve(&self) -> Result<(), Unreserved> {
        let mut reserved = self.reserved.lock();
        if self.is_begun.load(Ordering::Relaxed) || reserved.is_some() {
            return Ok(());
        }
        match Folder::take(&self.path)? {
            Taken::Folder(folder) => *reserved = Some(folder),
            // It lets go when it is not served any more.
            Taken::Busy(holder) if holder.is_own => {}
            Taken::Busy(holder) => return Err(Unreserved::Taken(holder.process)),
        }
        Ok(())
    }

    /// This process takes the place of the one that has the folder.
    pub(crate) fn succeed(&self) {
        self.succeeds.store(true, Ordering::Relaxed);
    }

    /// Has the folder, as soon as and as long as no other process asks for it: one that takes the place of another asks once,
    /// so that in an upgrade the new process gets it at once and the old one when the new one is gone. Never returns; dropped,
    /// it lets go.
    pub(crate) async fn serve(&self) {
        self.is_begun.store(true, Ordering::Relaxed);
        let mut asks = self.succeeds.swap(false, Ordering::Relaxed);
        loop {
            let shelf = Arc::downgrade(&self.take(asks).await);
            let tenancy = Tenancy(self);
            tokio::select! {
                () = self.until_claimed(&shelf) => {}
                () = self.keep_swept(&shelf) => {}
            }
            drop(tenancy);
            log::info!("another process has the folder of a cache from now on path={}", self.path.display());
            asks = false;
        }
    }

    /// Takes the folder over, with what was removed meanwhile.
    async fn take(&self, asks: bool) -> Arc<Shelf> {
        let shelf = Arc::new(self.acquire(asks).await);
        let doomed = {
            let mut owed = self.owed.lock();
            let Owed { purges, targets: doomed } = std::mem::take(&mut *owed);
            shelf.add_rules(&purges);
            for &target in &doomed {
                shelf.doom(target);
            }
            self.shelf.store(Some(shelf.clone()));
            doomed
        };
        let settled = shelf.clone();
        let settle = move || {
            settled.save_rules()?;
            doomed.into_iter().try_for_each(|target| settled.remove(target))
        };
        self.workers.run(settle).await;
        shelf
    }

    async fn acquire(&self, asks: bool) -> Shelf {
        let mut claim = None;
        let mut is_told = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let reserved = self.reserved.lock().take();
            let (path, size) = (self.path.clone(), self.size);
            let (is_claimed, health) = (claim.is_some(), self.health.clone());
            let attempt = move || {
                let folder = match reserved {
                    Some(folder) => folder,
                    // Whoever asks comes first.
                    None if !asks && !is_claimed && Folder::is_claimed_at(&path)? => return Ok(None),
                    None => match Folder::take(&path)? {
                        Taken::Folder(folder) => folder,
                        Taken::Busy(_) => return Ok(None),
                    },
                };
                Shelf::open(folder, size, health).map(Some)
            };
            match self.workers.run(attempt).await {
                Some(Some(shelf)) => return shelf,
                Some(None) => {
                    if !is_told {
                        log::info!(
                            "cache works from memory until another process lets go of its folder path={}",
                            self.path.display()
                        );
                        is_told = true;
                    }
                    if asks && claim.is_none() {
                        let path = self.path.clone();
                        claim = self.workers.run(move || Folder::claim(&path)).await.flatten();
                    }
                    sleep(if asks || tries <= MOST_QUICK { ASKING } else { WAITING }).await;
                }
                None => sleep(REST).await,
            }
        }
    }

    async fn until_claimed(&self, shelf: &Weak<Shelf>) {
        loop {
            sleep(LISTENING).await;
            let Some(shelf) = shelf.upgrade() else { return };
            if self.workers.run(move || shelf.folder.is_claimed()).await == Some(true) {
                return;
            }
        }
    }

    /// Looks through all files at first, and whenever it is due.
    async fn keep_swept(&self, shelf: &Weak<Shelf>) {
        loop {
            let Some(shelf) = shelf.upgrade() else { return };
            let is_swept = self.sweep(&shelf, |_| ()).await;
            drop(shelf);
            match is_swept {
                Some(true) => self.sweep_is_due.notified().await,
                // Nothing is given that rules remove, so that there is time.
                Some(false) => drop(timeout(STUCK, self.sweep_is_due.notified()).await),
                None => sleep(REST).await,
            }
        }
    }

    /// Looks through all files, unless that has been done since the last rule came, and tells what was removed. Says whether
    /// all could be looked at; `None` when the disk failed.
    pub(super) async fn sweep(&self, shelf: &Arc<Shelf>, on_removed: impl Fn(&[u128])) -> Option<bool> {
        let _sweeping = self.sweeping.lock().await;
        if shelf.is_settled() {
            return Some(true);
        }
        let sequence = shelf.sequence();
        let mut is_whole = true;
        for number in 0..SHELVES {
            let shelf = shelf.clone();
            let swept: Swept = self.workers.run(move || shelf.sweep(number)).await?;
            on_removed(&swept.removed);
            is_whole &= swept.is_whole;
        }
        let shelf = shelf.clone();
        // Rules stay for what could not be looked at: it may be there yet, and be read one day.
        let settled = if is_whole { sequence } else { 0 };
        self.workers.run(move || shelf.settle(settled)).await.map(|()| is_whole)
    }
}
