use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};

/// The tickets that servers send a client: counted, and the last one kept where the client resumes sessions.
#[derive(Debug)]
pub(crate) struct Tickets {
    keeps: bool,
    last: Mutex<Option<Tls13ClientSessionValue>>,
    count: AtomicUsize,
}

impl Tickets {
    pub(crate) fn new(keeps: bool) -> Self {
        Self { keeps, last: Mutex::new(None), count: AtomicUsize::new(0) }
    }

    /// How many have come so far.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.keeps {
            *self.last.lock() = Some(ticket);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.last.lock().take()
    }
}
