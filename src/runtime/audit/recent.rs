use std::collections::VecDeque;

use super::AuditEntry;

/// The last entries. Those of what was denied have room of their own: whoever may do nothing can push out nothing of what
/// others did.
#[derive(Debug, Default)]
pub(super) struct Recent {
    done: VecDeque<Numbered>,
    denied: VecDeque<Numbered>,
    noted: u64,
}

/// An entry, and how many there were before it.
type Numbered = (u64, AuditEntry);

/// So many entries of what was done or refused are kept.
const MOST_DONE: usize = 200;
/// The same for what was denied.
const MOST_DENIED: usize = 50;

impl Recent {
    pub(super) fn push(&mut self, entry: AuditEntry) {
        let (kept, most) = match entry.is_denied() {
            true => (&mut self.denied, MOST_DENIED),
            false => (&mut self.done, MOST_DONE),
        };
        if kept.len() == most {
            kept.pop_front();
        }
        kept.push_back((self.noted, entry));
        self.noted += 1;
    }

    /// All of them, the oldest first.
    pub(super) fn entries(&self) -> Vec<AuditEntry> {
        let mut all: Vec<_> = self.done.iter().chain(&self.denied).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, entry)| entry.clone()).collect()
    }

    /// Puts these before what is there.
    pub(super) fn go_on(&mut self, earlier: Vec<AuditEntry>) {
        let own = std::mem::take(self).entries();
        earlier.into_iter().chain(own).for_each(|entry| self.push(entry));
    }
}
