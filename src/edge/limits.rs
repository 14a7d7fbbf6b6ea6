use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::runtime::{Counted, ListenerCounts};
use crate::types::{ClientKey, client_key};

/// Counts client connections: all together, per listener, and per client on a listener.
#[derive(Debug)]
pub(super) struct ConnectionLimits {
    open: AtomicUsize,
    most: usize,
    ipv6_prefix: u8,
}

/// The counts of one listener.
#[derive(Debug)]
pub(super) struct ListenerLimits {
    all: Arc<ConnectionLimits>,
    open: AtomicUsize,
    most: usize,
    per_client: u32,
    refused: AtomicU64,
    /// Only clients that have connections are in here, so `most` bounds it.
    clients: [Mutex<HashMap<ClientKey, u32>>; SHARDS],
}

const SHARDS: usize = 16;

/// Which limit a connection would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Total,
    Listener,
    Client,
}

/// A place within the limits, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    listener: Arc<ListenerLimits>,
    client: Option<ClientKey>,
}

impl ConnectionLimits {
    pub(super) fn new(most: usize, ipv6_prefix: u8) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), most, ipv6_prefix })
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl ListenerLimits {
    pub(super) fn new(all: Arc<ConnectionLimits>, most: usize, per_client: u32) -> Arc<Self> {
        Arc::new(Self {
            all,
            open: AtomicUsize::new(0),
            most,
            per_client,
            refused: AtomicU64::new(0),
            clients: Default::default(),
        })
    }

    /// Takes a place for a connection from `client`; not all have a client to count.
    pub(super) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Place, Full> {
        if !take(&self.all.open, self.all.most) {
            return Err(self.refuse(Full::Total));
        }
        if !take(&self.open, self.most) {
            self.all.open.fetch_sub(1, Ordering::AcqRel);
            return Err(self.refuse(Full::Listener));
        }
        // From here on dropping the place gives both counts back.
        let mut place = Place { listener: self.clone(), client: None };
        match client {
            Some(client) => place.count(client).map(|()| place),
            None => Ok(place),
        }
    }

    fn refuse(&self, full: Full) -> Full {
        self.refused.fetch_add(1, Ordering::Relaxed);
        full
    }

    fn shard(&self, key: ClientKey) -> &Mutex<HashMap<ClientKey, u32>> {
        // IPv4 clients differ in the last bits, IPv6 ones in the first sixty-four.
        let key = key.as_u128();
        let mixed = (key ^ (key >> 64)) as usize;
        &self.clients[(mixed ^ (mixed >> 8)) % SHARDS]
    }
}

impl Counted for ListenerLimits {
    fn counts(&self) -> ListenerCounts {
        let open = self.open.load(Ordering::Acquire);
        ListenerCounts { open, refused: self.refused.load(Ordering::Relaxed), dropped: 0 }
    }
}

fn take(count: &AtomicUsize, most: usize) -> bool {
    if count.fetch_add(1, Ordering::AcqRel) < most {
        return true;
    }
    count.fetch_sub(1, Ordering::AcqRel);
    false
}

impl Place {
    /// Counts the connection as one of `client`, once it is known.
    pub(super) fn count(&mut self, client: IpAddr) -> Result<(), Full> {
        let key = client_key(client, self.listener.all.ipv6_prefix);
        let mut clients = self.listener.shard(key).lock();
        let count = clients.entry(key).or_insert(0);
        if *count >= self.listener.per_client {
            return Err(self.listener.refuse(Full::Client));
        }
        *count += 1;
        drop(clients);
        self.client = Some(key);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = self.client {
            let mut clients = self.listener.shard(key).lock();
            if let Some(count) = clients.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    clients.remove(&key);
                }
            }
        }
        self.listener.open.fetch_sub(1, Ordering::AcqRel);
        self.listener.all.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_holds_and_every_place_comes_back() {
        let all = ConnectionLimits::new(3, 64);
        let listener = ListenerLimits::new(all.clone(), 10, 2);
        let client = |text: &str| Some(text.parse().unwrap());
        let first = listener.enter(client("10.0.0.1")).unwrap();
        let second = listener.enter(client("10.0.0.1")).unwrap();
        assert_eq!(listener.enter(client("10.0.0.1")).unwrap_err(), Full::Client);
        let third = listener.enter(client("10.0.0.2")).unwrap();
        assert_eq!(listener.enter(client("10.0.0.3")).unwrap_err(), Full::Total);
        drop(first);
        let fourth = listener.enter(client("10.0.0.1")).unwrap();
        assert_eq!(listener.counts(), ListenerCounts { open: 3, refused: 2, dropped: 0 });
        drop((second, third, fourth));
        assert_eq!(all.open(), 0);
        assert!(listener.clients.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn a_listener_has_a_limit_of_its_own() {
        let all = ConnectionLimits::new(10, 64);
        let listener = ListenerLimits::new(all.clone(), 1, 10);
        let _only = listener.enter(None).unwrap();
        assert_eq!(listener.enter(None).unwrap_err(), Full::Listener);
        assert_eq!(all.open(), 1);
    }
}
