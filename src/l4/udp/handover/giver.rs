use std::collections::HashSet;

use crate::l4::udp::flows::FlowKey;

use super::Side;
use super::message::{Broken, Kind, Lists};

/// What the predecessor tells of its flows.
#[derive(Debug)]
pub(in crate::l4::udp) struct Giver {
    /// The flows that have ended, for which something may still be under way.
    ended: HashSet<FlowKey>,
    lists: Lists,
}

impl Giver {
    /// Tells of all flows that there are. None begins from here on.
    pub(in crate::l4::udp) fn new(keys: impl IntoIterator<Item = FlowKey>) -> Self {
        let mut lists = Lists::default();
        keys.into_iter().for_each(|key| lists.push(Kind::Keys, key));
        lists.push_told();
        Self { ended: HashSet::new(), lists }
    }

    /// A flow that was told of ended.
    pub(in crate::l4::udp) fn ended(&mut self, key: FlowKey) {
        if self.ended.insert(key) {
            self.lists.push(Kind::Ended, key);
        }
    }

    /// What the successor says. All trains that came before must be served or returned by now.
    pub(in crate::l4::udp) fn hear(&mut self, kind: Kind, keys: Vec<FlowKey>) -> Result<(), Broken> {
        if kind != Kind::Release {
            return Err(Broken);
        }
        for key in keys {
            // What was not told is not answered: answers that nobody takes would be without end.
            if !self.ended.remove(&key) {
                return Err(Broken);
            }
            self.lists.push(Kind::Released, key);
        }
        Ok(())
    }
}

impl Side for Giver {
    /// The successor knows of every flow that has ended, and passes nothing for them.
    fn is_settled(&self) -> bool {
        self.ended.is_empty() && self.lists.is_empty()
    }

    fn lists(&mut self) -> &mut Lists {
        &mut self.lists
    }
}
