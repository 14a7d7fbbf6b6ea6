use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::config::spec::Limits;
use crate::runtime::{Counted, ListenerCounts};
use crate::types::{ClientKey, client_key};

/// Counts client connections: all together, per listener, and per client on a listener.
#[derive(Debug)]
pub(super) struct ConnectionLimits {
    open: AtomicUsize,
    /// Those of them that are passed on.
    passed_on: AtomicUsize,
    most: AtomicUsize,
    ipv6_prefix: AtomicU8,
}

/// The counts of one listener.
#[derive(Debug)]
pub(super) struct ListenerLimits {
    all: Arc<ConnectionLimits>,
    open: AtomicUsize,
    most: AtomicUsize,
    per_client: AtomicU32,
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
    is_passed_on: bool,
}

impl ConnectionLimits {
    pub(super) fn new(most: usize, ipv6_prefix: u8) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            passed_on: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
            ipv6_prefix: AtomicU8::new(ipv6_prefix),
        })
    }

    /// Has other limits from here on. Connections that are open count as they did, and none of them ends.
    pub(super) fn change(&self, most: usize, ipv6_prefix: u8) {
        self.most.store(most, Ordering::Relaxed);
        self.ipv6_prefix.store(ipv6_prefix, Ordering::Relaxed);
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn passed_on(&self) -> usize {
        self.passed_on.load(Ordering::Acquire)
    }
}

impl ListenerLimits {
    pub(super) fn new(all: Arc<ConnectionLimits>, limits: &Limits) -> Arc<Self> {
        let (most, per_client) = of(limits);
        Arc::new(Self {
            all,
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
            per_client: AtomicU32::new(per_client),
            refused: AtomicU64::new(0),
            clients: Default::default(),
        })
    }

    /// Has other limits from here on. Connections that are open count as they did, and none of them ends.
    pub(super) fn change(&self, limits: &Limits) {
        let (most, per_client) = of(limits);
        self.most.store(most, Ordering::Relaxed);
        self.per_client.store(per_client, Ordering::Relaxed);
    }

    /// Takes a place for a connection from `client`; not all have a client to count. Whoever turns the connection away for
    /// want of one notes that.
    pub(super) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Place, Full> {
        if !take(&self.all.open, &self.all.most) {
            return Err(Full::Total);
        }
        if !take(&self.open, &self.most) {
            self.all.open.fetch_sub(1, Ordering::AcqRel);
            return Err(Full::Listener);
        }
        // From here on dropping the place gives both counts back.
        let mut place = Place { listener: self.clone(), client: None, is_passed_on: false };
        match client {
            Some(client) => place.count(client).map(|()| place),
            None => Ok(place),
        }
    }

    /// Counts a connection that was turned away.
    pub(super) fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
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

/// How many connections a listener may have, in all and of one client.
fn of(limits: &Limits) -> (usize, u32) {
    let most = limits.connections.map_or(usize::MAX, |most| most.get() as usize);
    (most, limits.per_client.get())
}

fn take(count: &AtomicUsize, most: &AtomicUsize) -> bool {
    if count.fetch_add(1, Ordering::AcqRel) < most.load(Ordering::Relaxed) {
        return true;
    }
    count.fetch_sub(1, Ordering::AcqRel);
    false
}

impl Place {
    /// Counts the connection as one that is passed on.
    pub(super) fn pass_on(&mut self) {
        self.is_passed_on = true;
        self.listener.all.passed_on.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts the connection as one that is turned away.
    pub(super) fn note_refused(&self) {
        self.listener.note_refused();
    }

    /// Counts the connection as one of `client`, once it is known.
    pub(super) fn count(&mut self, client: IpAddr) -> Result<(), Full> {
        let key = client_key(client, self.listener.all.ipv6_prefix.load(Ordering::Relaxed));
        let mut clients = self.listener.shard(key).lock();
        let count = clients.entry(key).or_insert(0);
        if *count >= self.listener.per_client.load(Ordering::Relaxed) {
            return Err(Full::Client);
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
        if self.is_passed_on {
            self.listener.all.passed_on.fetch_sub(1, Ordering::AcqRel);
        }
        self.listener.open.fetch_sub(1, Ordering::AcqRel);
        self.listener.all.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(connections: u32, per_client: u32) -> Limits {
        let (connections, per_client) = (NonZeroU32::new(connections), NonZeroU32::new(per_client).unwrap());
        Limits { connections, per_client, ..Limits::default() }
    }

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn every_limit_holds_and_every_place_comes_back() {
        let all = ConnectionLimits::new(3, 64);
        let listener = ListenerLimits::new(all.clone(), &limits(10, 2));
        let first = listener.enter(client("10.0.0.1")).unwrap();
        let second = listener.enter(client("10.0.0.1")).unwrap();
        assert_eq!(listener.enter(client("10.0.0.1")).unwrap_err(), Full::Client);
        let third = listener.enter(client("10.0.0.2")).unwrap();
        assert_eq!(listener.enter(client("10.0.0.3")).unwrap_err(), Full::Total);
        assert_eq!(listener.counts().refused, 0, "room may be made yet");
        listener.note_refused();
        third.note_refused();
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
        let listener = ListenerLimits::new(all.clone(), &limits(1, 10));
        let mut only = listener.enter(None).unwrap();
        assert_eq!(listener.enter(None).unwrap_err(), Full::Listener);
        only.pass_on();
        assert_eq!((all.open(), all.passed_on()), (1, 1));
        drop(only);
        assert_eq!((all.open(), all.passed_on()), (0, 0));
    }

    #[test]
    fn limits_change_while_connections_count() {
        let all = ConnectionLimits::new(10, 64);
        let listener = ListenerLimits::new(all.clone(), &limits(10, 10));
        let enter = |text| listener.enter(client(text));
        let places: Vec<_> = (0..3).map(|_| enter("2001:db8:0:1::1").unwrap()).collect();
        listener.change(&limits(3, 10));
        assert_eq!(enter("10.0.0.1").unwrap_err(), Full::Listener);
        listener.change(&limits(10, 3));
        assert_eq!(enter("2001:db8:0:1::2").unwrap_err(), Full::Client);
        all.change(3, 64);
        assert_eq!(enter("10.0.0.1").unwrap_err(), Full::Total);
        // What counts together is another thing then, and nothing is lost of what was counted before.
        all.change(10, 128);
        let other = enter("2001:db8:0:1::2").unwrap();
        drop((places, other));
        assert_eq!(all.open(), 0);
        assert!(listener.clients.iter().all(|shard| shard.lock().is_empty()));
    }
}
