use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::config::spec::Timeouts;
use crate::runtime::Cause;

/// Ends an attempt whose endpoint is silent for too long, or whose request has used up its total.
///
/// Pingora has one limit for every read of an answer, fixed before the attempt. Where a pool has different limits for the
/// first byte and for those after it, where the request's total ends before a read would have to, on upgraded
/// connections, whose silence counts over both directions, and where the body of an HTTP/2 client may go on beyond its
/// answer, this keeps them instead: it shuts the endpoint's socket down, which fails the read.
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
    /// When the silence is too long, in nanoseconds from `started`.
    deadline: AtomicU64,
    /// When the request's total is used up, likewise.
    total: AtomicU64,
    /// Woken when a limit begins that may end before the one that is slept for.
    earlier: Notify,
    silent: AtomicBool,
    overdue: AtomicBool,
    idle: Duration,
    tunnel: Duration,
    /// Whether the request may go on after its answer.
    may_outlive_answer: bool,
    is_tunnel: AtomicBool,
    has_head: AtomicBool,
    request_ended: AtomicBool,
    /// The whole answer is there, so that nothing can fail any more.
    is_answered: AtomicBool,
}

/// The deadline of an attempt that is over.
const NEVER: u64 = u64::MAX;
/// How long a request may go on after its whole answer has come.
const AFTER_ANSWER: Duration = Duration::from_secs(1);

impl Watchdog {
    /// Watches the endpoint's socket `fd`, which must be open, for `left` of the request's total at most; `None` when no
    /// descriptor is left for it. The wait for the answer begins when the request has ended, which may be after the
    /// answer.
    pub(super) fn start(
        fd: RawFd,
        timeouts: &Timeouts,
        may_outlive_answer: bool,
        left: Option<Duration>,
    ) -> Option<Self> {
        #[expect(unsafe_code, reason = "Pingora tells the descriptor as a number")]
        // SAFETY: the caller's connection owns `fd` and stays open during this call, and the borrow ends with it.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = borrowed.try_clone_to_owned().ok()?;
        let shared = Arc::new(Shared {
            socket,
            started: Instant::now(),
            deadline: AtomicU64::new(NEVER),
            total: AtomicU64::new(left.map_or(NEVER, nanos)),
            earlier: Notify::new(),
            silent: AtomicBool::new(false),
            overdue: AtomicBool::new(false),
            idle: timeouts.idle.get(),
            tunnel: timeouts.tunnel.get(),
            may_outlive_answer,
            is_tunnel: AtomicBool::new(false),
            has_head: AtomicBool::new(false),
            request_ended: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
        });
        let task = tokio::spawn(watch(shared.clone()));
        Some(Self { shared, task })
    }

    /// The endpoint's socket.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.shared.socket.as_fd()
    }

    /// A piece of the request went to the endpoint, and more are to come.
    pub(super) fn on_request_data(&self) {
        let shared = &self.shared;
        if shared.is_tunnel.load(Ordering::Relaxed) {
            shared.extend(shared.tunnel);
        }
    }

    /// The request has ended: the wait for the head of its answer begins, for `limit`.
    pub(super) fn on_request_end(&self, limit: Duration) {
        let shared = &self.shared;
        shared.request_ended.store(true, Ordering::Relaxed);
        if !shared.is_tunnel.load(Ordering::Relaxed) && !shared.has_head.load(Ordering::Relaxed) {
            shared.extend(limit);
            shared.earlier.notify_one();
        }
    }

    /// The head of the answer is there.
    pub(super) fn on_head(&self) {
        self.shared.has_head.store(true, Ordering::Relaxed);
        self.shared.extend(self.shared.idle);
        self.shared.earlier.notify_one();
    }

    /// The answer goes on for as long as its client listens: no total applies.
    pub(super) fn lift_total(&self) {
        self.shared.total.store(NEVER, Ordering::Release);
    }

    /// The answer switched protocols.
    pub(super) fn on_upgrade(&self) {
        self.lift_total();
        self.shared.is_tunnel.store(true, Ordering::Relaxed);
        self.shared.extend(self.shared.tunnel);
        self.shared.earlier.notify_one();
    }

    /// Nothing is waited for meanwhile.
    pub(super) fn on_pause(&self, pause: Duration) {
        for due in [&self.shared.deadline, &self.shared.total] {
            // One that does not run stays so; a relaxed failure says nothing.
            let _ = due.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |due| {
                (due != NEVER).then(|| due.saturating_add(nanos(pause)).min(NEVER - 1))
            });
        }
    }

    /// The whole answer is there. What is left of a request goes to an endpoint that may never read it, and nobody waits
    /// for that: unless the attempt is over soon, its connection ends, which is no failure.
    pub(super) fn on_response_end(&self) {
        let shared = &self.shared;
        self.lift_total();
        shared.is_answered.store(true, Ordering::Release);
        if shared.may_outlive_answer && !shared.request_ended.load(Ordering::Relaxed) {
            shared.extend(AFTER_ANSWER);
            shared.earlier.notify_one();
        } else {
            shared.deadline.store(NEVER, Ordering::Release);
        }
    }

    /// A piece of the answer came; `end` is its last.
    pub(super) fn on_response_data(&self, end: bool) {
        if end {
            self.on_response_end();
        } else if self.shared.is_tunnel.load(Ordering::Relaxed) {
            self.shared.extend(self.shared.tunnel);
        } else {
            self.shared.extend(self.shared.idle);
        }
    }

    /// Why the attempt was ended, if it was.
    pub(super) fn expired(&self) -> Option<Cause> {
        if self.shared.overdue.load(Ordering::Acquire) {
            return Some(Cause::TotalTimeout);
        }
        self.shared.silent.load(Ordering::Acquire).then_some(Cause::ResponseTimeout)
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
        let next = shared.deadline.load(Ordering::Acquire).min(shared.total.load(Ordering::Acquire));
        if next == NEVER {
            // Nothing to wait for until a limit begins; the task ends with its attempt.
            shared.earlier.notified().await;
            continue;
        }
        tokio::select! {
            () = sleep_until(shared.started + Duration::from_nanos(next)) => {}
            () = shared.earlier.notified() => continue,
        }
        let now = nanos(shared.started.elapsed());
        let is_overdue = shared.total.load(Ordering::Acquire) <= now;
        if is_overdue || shared.deadline.load(Ordering::Acquire) <= now {
            if !shared.is_answered.load(Ordering::Acquire) {
                let reason = if is_overdue { &shared.overdue } else { &shared.silent };
                reason.store(true, Ordering::Release);
            }
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
        Timeouts { idle: crate::types::Span::from_secs(1), ..Timeouts::default() }
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_limit() {
        let (mut client, _server) = pair();
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts(), false, None).unwrap();
        pass(100).await;
        watchdog.on_request_data();
        pass(100).await;
        watchdog.on_request_end(Duration::from_secs(10));
        pass(9).await;
        assert_eq!(watchdog.expired(), None);
        watchdog.on_head();
        pass(2).await;
        assert_eq!(watchdog.expired(), Some(Cause::ResponseTimeout));
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_ends_an_answer_that_keeps_coming_unless_it_is_endless() {
        let (client, _server) = pair();
        let left = Some(Duration::from_millis(2500));
        let bounded = Watchdog::start(client.as_raw_fd(), &timeouts(), false, left).unwrap();
        let endless = Watchdog::start(client.as_raw_fd(), &timeouts(), false, left).unwrap();
        endless.on_head();
        endless.lift_total();
        for _ in 0..6 {
            bounded.on_head();
            bounded.on_response_data(false);
            endless.on_response_data(false);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(bounded.expired(), Some(Cause::TotalTimeout));
        assert_eq!(endless.expired(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_the_endpoints() {
        let (client, _server) = pair();
        let left = Some(Duration::from_secs(5));
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts(), false, left).unwrap();
        watchdog.on_head();
        watchdog.on_pause(Duration::from_secs(30));
        pass(30).await;
        assert_eq!(watchdog.expired(), None);
        pass(2).await;
        assert_eq!(watchdog.expired(), Some(Cause::ResponseTimeout));
        let (client, _server) = pair();
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts(), false, left).unwrap();
        watchdog.on_pause(Duration::from_secs(30));
        pass(34).await;
        assert_eq!(watchdog.expired(), None, "no silence has begun");
        pass(2).await;
        assert_eq!(watchdog.expired(), Some(Cause::TotalTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_limit_does_not_wait_for_a_longer_one() {
        let (client, _server) = pair();
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts(), false, None).unwrap();
        pass(1).await;
        watchdog.on_head();
        pass(2).await;
        assert_eq!(watchdog.expired(), Some(Cause::ResponseTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_finished_answer_is_never_cut() {
        let (client, _server) = pair();
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts(), false, None).unwrap();
        watchdog.on_head();
        watchdog.on_response_data(true);
        pass(100).await;
        assert_eq!(watchdog.expired(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_outlives_its_answer_ends_without_a_reason() {
        let (mut client, _server) = pair();
        let unread = Watchdog::start(client.as_raw_fd(), &timeouts(), true, None).unwrap();
        let (other, _other_server) = pair();
        let ended = Watchdog::start(other.as_raw_fd(), &timeouts(), true, None).unwrap();
        ended.on_request_end(Duration::from_secs(10));
        for watchdog in [&unread, &ended] {
            watchdog.on_head();
            watchdog.on_response_data(true);
        }
        // That the last piece was taken does not mean that the endpoint reads it.
        unread.on_request_data();
        unread.on_request_end(Duration::from_secs(10));
        pass(2).await;
        assert_eq!((unread.expired(), ended.expired()), (None, None));
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        other.set_nonblocking(true).unwrap();
        assert!((&other).read(&mut [0; 1]).is_err(), "it may serve another request");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_lives_while_either_side_speaks() {
        let (client, _server) = pair();
        let mut timeouts = timeouts();
        timeouts.tunnel = crate::types::Span::from_secs(60);
        let watchdog = Watchdog::start(client.as_raw_fd(), &timeouts, false, None).unwrap();
        watchdog.on_head();
        watchdog.on_upgrade();
        for _ in 0..3 {
            pass(50).await;
            watchdog.on_request_data();
            pass(50).await;
            watchdog.on_response_data(false);
        }
        assert_eq!(watchdog.expired(), None);
        pass(61).await;
        assert_eq!(watchdog.expired(), Some(Cause::ResponseTimeout));
    }
}
