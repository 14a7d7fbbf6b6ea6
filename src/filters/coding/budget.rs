use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::types::ClientKey;

/// What the bodies of a filter may hold together. One client never gets more of it than it leaves to others, so that a client
/// who reads slowly, on however many connections, keeps nobody else out.
#[derive(Debug, Default)]
pub(in crate::filters) struct Budget {
    accounts: Mutex<Accounts>,
}

/// What a body holds, until this is dropped.
#[derive(Debug)]
pub(in crate::filters) struct Share {
    budget: Arc<Budget>,
    client: ClientKey,
    amount: u64,
}

#[derive(Debug, Default)]
struct Accounts {
    held: u64,
    /// Those that hold anything.
    clients: HashMap<ClientKey, u64>,
}

impl Budget {
    /// A share of `most`; `None` where that is not left, or where the client would hold more than is left then. Who holds
    /// nothing gets what there is.
    pub(in crate::filters) fn take(
        self: &Arc<Self>,
        client: ClientKey,
        amount: u64,
        most: u64,
    ) -> Option<Share> {
        let mut accounts = self.accounts.lock();
        let left = most.checked_sub(accounts.held)?.checked_sub(amount)?;
        let own = accounts.clients.get(&client).copied().unwrap_or_default();
        if own > 0 && own + amount > left {
            return None;
        }
        accounts.change(client, 0, amount);
        Some(Share { budget: Arc::clone(self), client, amount })
    }
}

impl Share {
    /// Makes it what is really held. That can be more than is left: it is there already, and others have to wait for it.
    pub(in crate::filters) fn resize(&mut self, amount: u64) {
        self.budget.accounts.lock().change(self.client, self.amount, amount);
        self.amount = amount;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

impl Accounts {
    fn change(&mut self, client: ClientKey, before: u64, after: u64) {
        self.held = self.held - before + after;
        let own = self.clients.entry(client).or_default();
        *own = *own - before + after;
        if *own == 0 {
            self.clients.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::client_key;

    fn client(number: u8) -> ClientKey {
        client_key([10, 0, 0, number].into(), 64)
    }

    #[test]
    fn a_client_leaves_to_others_as_much_as_it_has() {
        let budget = Arc::new(Budget::default());
        let take = |number| budget.take(client(number), 1, 12);
        let greedy: Vec<_> = (0..12).map_while(|_| take(1)).collect();
        assert_eq!(greedy.len(), 6);
        let next: Vec<_> = (0..12).map_while(|_| take(2)).collect();
        assert_eq!(next.len(), 3);
        // Whoever comes has one as long as there is any.
        let others: Vec<_> = (3..30).map_while(take).collect();
        assert_eq!(others.len(), 3);
        drop((greedy, next, others));
        let accounts = budget.accounts.lock();
        assert_eq!((accounts.held, accounts.clients.len()), (0, 0));
    }

    #[test]
    fn what_is_held_is_what_counts() {
        let budget = Arc::new(Budget::default());
        let mut first = budget.take(client(1), 10, 16).unwrap();
        assert!(budget.take(client(2), 10, 16).is_none());
        first.resize(2);
        let _second = budget.take(client(2), 10, 16).unwrap();
        first.resize(20);
        assert!(budget.take(client(3), 1, 16).is_none());
        drop(first);
        assert!(budget.take(client(3), 6, 16).is_some());
    }
}
