use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::config::spec::Timeouts;

/// Ends an attempt whose endpoint is silent for too long.
///
/// Pingora has one limit for every read of an answer, fixed before the attempt. Where a pool has different limits
/// for the first byte and for those after it, and on upgraded connections, whose silence counts over both
/// directions, this keeps them instead: it shuts the endpoint's socket down, which fails the read.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// A descriptor of our own for the endpoint's socket, so that it cannot come to mean another one.
    socket: OwnedFd,
    started: Instant,
    /// Nanoseconds from `started`.
    deadline: AtomicU64,
    expired: AtomicBool,
    first_byte: Duration,
    idle: Duration,
    tunnel: Duration,
    is_tunnel: AtomicBool,
    has_head: AtomicBool,
}

/// The deadline of an attempt that is over.
const NEVER: u64 = u64::MAX;

impl Watchdog {
    /// Watches the endpoint's socket `fd`, which must be open; `None` when no descriptor is left for it.
    pub(super) fn start(fd: RawFd, timeouts: &Timeouts) -> Option<Self> {
        #[expect(unsafe_code, reason = "Pingora tells the descriptor as a number")]
        // SAFETY: the caller's connection owns `fd` and stays open during this call, and the borrow ends with it.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = borrowed.try_clone_to_owned().ok()?;
        let shared = Arc::new(Shared {
            socket,
            started: Instant::now(),
            deadline: AtomicU64::new(nanos(timeouts.first_byte.get())),
            expired: AtomicBool::new(false),
            first_byte: timeouts.first_byte.get(),
            idle: timeouts.idle.get(),
            tunnel: timeouts.tunnel.get(),
            is_tunnel: AtomicBool::new(false),
            has_head: AtomicBool::new(false),
        });
        let task = tokio::spawn(watch(shared.clone()));
        Some(Self { shared, task })
    }

    /// A piece of the request went to the endpoint: the wait for the answer begins anew.
    pub(super) fn on_request_data(&self) {
        if self.shared.is_tunnel.load(Ordering::Relaxed) {
            self.shared.extend(self.shared.tunnel);
        } else if !self.shared.has_head.load(Ordering::Relaxed) {
            self.shared.extend(self.shared.first_byte);
        }
    }

    /// The head of the answer is there.
    pub(super) fn on_head(&self) {
        self.shared.has_head.store(true, Ordering::Relaxed);
        self.shared.extend(self.shared.idle);
    }

    /// The answer switched protocols.
    pub(super) fn on_upgrade(&self) {
        self.shared.is_tunnel.store(true, Ordering::Relaxed);
        self.shared.extend(self.shared.tunnel);
    }

    /// A piece of the answer came; `end` is its last.
    pub(super) fn on_response_data(&self, end: bool) {
        if end {
            self.shared.deadline.store(NEVER, Ordering::Release);
        } else if self.shared.is_tunnel.load(Ordering::Relaxed) {
            self.shared.extend(self.shared.tunnel);
        } else {
            self.shared.extend(self.shared.idle);
        }
    }

    /// Whether the attempt was ended.
    pub(super) fn has_expired(&self) -> bool {
        self.shared.expired.load(Ordering::Acquire)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn extend(&self, by: Duration) {
        self.deadline.store(nanos(self.started.elapsed() + by), Ordering::Release);
    }
}

async fn watch(shared: Arc<Shared>) {
    loop {
        let deadline = shared.deadline.load(Ordering::Acquire);
        if deadline == NEVER {
            return;
        }
        sleep_until(shared.started + Duration::from_nanos(deadline)).await;
        let now = nanos(shared.started.elapsed());
        if shared.deadline.load(Ordering::Acquire) <= now {
            shared.expired.store(true, Ordering::Release);
            // A socket that is closed already needs no end.
            let _ = rustix::net::shutdown(&shared.socket, Shutdown::Both);
            return;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn timeouts() -> Timeouts {
        Timeouts {
            first_byte: crate::types::Span::from_secs(10),
            idle: crate::types::Span::from_secs(1),
            ..Timeouts::default()
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_limit() {
        let (mut client, _server) = pair();
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts()).unwrap();
        pass(9).await;
        watchdog.on_request_data();
        pass(9).await;
        assert!(!watchdog.has_expired());
        watchdog.on_head();
        pass(2).await;
        assert!(watchdog.has_expired());
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_finished_answer_is_never_cut() {
        let (client, _server) = pair();
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts()).unwrap();
        watchdog.on_head();
        watchdog.on_response_data(true);
        pass(100).await;
        assert!(!watchdog.has_expired());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_lives_while_either_side_speaks() {
        let (client, _server) = pair();
        let mut timeouts = timeouts();
        timeouts.tunnel = crate::types::Span::from_secs(60);
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts).unwrap();
        watchdog.on_head();
        watchdog.on_upgrade();
        for _ in 0..3 {
            pass(50).await;
            watchdog.on_request_data();
            pass(50).await;
            watchdog.on_response_data(false);
        }
        assert!(!watchdog.has_expired());
        pass(61).await;
        assert!(watchdog.has_expired());
    }
}
