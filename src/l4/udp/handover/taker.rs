use std::collections::{HashMap, VecDeque};

use crate::l4::udp::flows::FlowKey;
use crate::l4::udp::io::Train;

use super::Side;
use super::message::{Broken, Kind, Lists};

/// What the successor knows of its predecessor's flows.
#[derive(Debug, Default)]
pub(in crate::l4::udp) struct Taker {
    theirs: HashMap<FlowKey, Standing>,
    is_told: bool,
    /// In the order in which they came.
    held: VecDeque<Held>,
    held_bytes: usize,
    lists: Lists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Theirs,
    /// The flow has ended, but what was passed may come back.
    Ending,
}

/// Where the datagrams of a client go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::l4::udp) enum Route {
    Ours,
    Theirs,
    /// They wait for those that were sent before.
    Held,
}

/// A train that waits for others of its client.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::l4::udp) struct Held {
    pub(in crate::l4::udp) key: FlowKey,
    pub(in crate::l4::udp) train: Train,
    pub(in crate::l4::udp) bytes: Box<[u8]>,
}

/// So many flows a listener may have.
const MOST_KEYS: usize = 1_000_000;
/// What is held waits for one answer of the other process, so little is enough.
const MOST_HELD: usize = 256;
const MOST_HELD_BYTES: usize = 1 << 20;

impl Taker {
    /// Whether all flows were told of, so that datagrams may be read.
    pub(in crate::l4::udp) fn is_told(&self) -> bool {
        self.is_told
    }

    pub(in crate::l4::udp) fn keys(&self) -> impl Iterator<Item = FlowKey> {
        self.theirs.keys().copied()
    }

    pub(in crate::l4::udp) fn route(&self, key: &FlowKey) -> Route {
        match self.theirs.get(key) {
            None => Route::Ours,
            Some(Standing::Theirs) => Route::Theirs,
            Some(Standing::Ending) => Route::Held,
        }
    }

    /// Keeps a train until its key is released. `false` if there is no room.
    pub(in crate::l4::udp) fn hold(&mut self, key: FlowKey, train: Train, bytes: &[u8]) -> bool {
        let held_bytes = self.held_bytes + bytes.len();
        if self.held.len() == MOST_HELD || held_bytes > MOST_HELD_BYTES {
            return false;
        }
        self.held_bytes = held_bytes;
        self.held.push_back(Held { key, train, bytes: bytes.into() });
        true
    }

    /// What the predecessor says. All trains that came before must be served by now. Returns the clients that are the
    /// successor's own from here on.
    pub(in crate::l4::udp) fn hear(
        &mut self,
        kind: Kind,
        keys: Vec<FlowKey>,
    ) -> Result<Vec<FlowKey>, Broken> {
        match kind {
            Kind::Keys if !self.is_told && self.theirs.len() + keys.len() <= MOST_KEYS => {
                self.theirs.extend(keys.into_iter().map(|key| (key, Standing::Theirs)));
                Ok(Vec::new())
            }
            Kind::Told if !self.is_told && keys.is_empty() => {
                self.is_told = true;
                Ok(Vec::new())
            }
            Kind::Ended => {
                for key in keys {
                    self.end(key)?;
                }
                Ok(Vec::new())
            }
            Kind::Released => {
                for key in &keys {
                    self.theirs.remove(key).filter(|was| *was == Standing::Ending).ok_or(Broken)?;
                }
                Ok(keys)
            }
            _ => Err(Broken),
        }
    }

    fn end(&mut self, key: FlowKey) -> Result<(), Broken> {
        let standing = self.theirs.get_mut(&key).filter(|standing| **standing == Standing::Theirs);
        *standing.ok_or(Broken)? = Standing::Ending;
        self.lists.push(Kind::Release, key);
        Ok(())
    }

    /// Takes what was held of clients that are the successor's own by now, in the order in which it came.
    pub(in crate::l4::udp) fn take_free(&mut self) -> VecDeque<Held> {
        let held = std::mem::take(&mut self.held).into_iter();
        let (kept, free): (VecDeque<_>, VecDeque<_>) =
            held.partition(|held| self.theirs.contains_key(&held.key));
        self.held_bytes = kept.iter().map(|held| held.bytes.len()).sum();
        self.held = kept;
        free
    }

    /// Takes all clients for the successor's own, since the predecessor is gone. Returns which these were.
    pub(in crate::l4::udp) fn forget(&mut self) -> Vec<FlowKey> {
        self.is_told = true;
        self.theirs.drain().map(|(key, _)| key).collect()
    }
}

impl Side for Taker {
    /// Nothing has to be passed any more.
    fn is_settled(&self) -> bool {
        self.is_told && self.theirs.is_empty()
    }

    fn lists(&mut self) -> &mut Lists {
        &mut self.lists
    }
}
