//! What a service manager is told, where one started the process and wants to know (sd_notify(3)).

mod notify;

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::edge::{Edge, Open};
use crate::pools::State;
use crate::runtime::Live;
use crate::types::Rarely;

use super::settled::settled;
use super::upgrade::Arrival;

use notify::{NotifySocket, watchdog_period};

/// The service manager, as far as there is one.
pub(super) struct ServiceManager {
    manager: Option<Manager>,
    live: Arc<Live>,
    edge: Arc<Edge>,
    /// The runtime of the accept loops, once it runs.
    data_plane: watch::Receiver<Option<Handle>>,
    arrival: watch::Receiver<Arrival>,
    /// Whether it was told that the process serves.
    is_ready: AtomicBool,
    /// What it was told last of what goes on.
    told: Mutex<Option<Summary>>,
}

#[derive(Debug)]
struct Manager {
    socket: NotifySocket,
    failures_told: Rarely,
    /// Whether another process is the main one, and has the word.
    is_left: AtomicBool,
    /// The main process, as long as the manager has not taken in which one that is.
    untold: watch::Sender<Option<u32>>,
}

/// What goes on in short, for `systemctl status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summary {
    Serving { listeners: usize, fit: usize, endpoints: usize },
    Draining(Open),
}

/// How often, and how many times, a manager is told of the main process that does not take it in.
const INSIST_PERIOD: Duration = Duration::from_millis(100);
const MOST_ATTEMPTS: usize = 100;

/// How often a change of what goes on is told.
const STATUS_PERIOD: Duration = Duration::from_secs(1);

impl ServiceManager {
    pub(super) fn new(
        live: Arc<Live>,
        edge: Arc<Edge>,
        data_plane: watch::Receiver<Option<Handle>>,
        arrival: watch::Receiver<Arrival>,
    ) -> Self {
        let manager = NotifySocket::from_env().map(Manager::new);
        Self {
            manager,
            live,
            edge,
            data_plane,
            arrival,
            is_ready: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    /// Tells what becomes of the process, and that it is alive, to its end. Signals must be handled by now: they may come
    /// as soon as the process is told to be ready.
    pub(super) async fn keep_told(&self) -> Infallible {
        let Some(manager) = &self.manager else { return pending().await };
        let mut started = self.data_plane.clone();
        let data_plane = started.wait_for(Option::is_some).await.map(|handle| handle.clone());
        // A channel that is closed belongs to a server that ends.
        let Ok(Some(data_plane)) = data_plane else { return pending().await };
        let alive = async {
            if let Some(period) = watchdog_period() {
                manager.tell_while_alive(&data_plane, period).await;
            }
            pending().await
        };
        tokio::select! {
            never = self.report(manager) => never,
            never = alive => never,
            never = manager.insist() => never,
        }
    }

    /// Has the manager know that `work` is a reload, and when it is done. Before the process is ready, and while it ends,
    /// that would be taken for something else, and is not told.
    pub(super) async fn reloading<T>(&self, work: impl Future<Output = T>) -> T {
        if let Some(manager) = self.ready_manager() {
            manager.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading", monotonic_usec()));
        }
        let done = work.await;
        if let Some(manager) = self.ready_manager() {
            self.tell_with(manager, "READY=1\n", self.summary());
        }
        done
    }

    /// Has the manager take another process for the main one, or this one again.
    pub(super) fn leave_to(&self, process: u32) {
        if let Some(manager) = &self.manager {
            manager.leave_to(process);
        }
    }

    /// Waits until the manager knows the main process, or is not told any more. It would take the end of the one that it knows
    /// for that of the service, and end the other.
    pub(super) async fn left(&self) {
        if let Some(manager) = &self.manager {
            // The sender is here.
            let _ = manager.untold.subscribe().wait_for(Option::is_none).await;
        }
    }

    /// Has the manager know that a drain begins.
    pub(super) fn stopping(&self) {
        if let Some(manager) = &self.manager {
            self.tell_with(manager, "STOPPING=1\n", self.draining());
        }
    }

    fn ready_manager(&self) -> Option<&Manager> {
        let is_ready = self.is_ready.load(Ordering::Relaxed) && !self.live.is_draining();
        self.manager.as_ref().filter(|_| is_ready)
    }

    async fn report(&self, manager: &Manager) -> Infallible {
        Arrival::serving(&mut self.arrival.clone()).await;
        settled(&self.live).await;
        if !self.live.is_draining() {
            self.is_ready.store(true, Ordering::Relaxed);
            self.tell_with(manager, "READY=1\n", self.summary());
        }
        loop {
            sleep(STATUS_PERIOD).await;
            let summary = self.summary();
            if *self.told.lock() != Some(summary) {
                self.tell_with(manager, "", summary);
            }
        }
    }

    fn tell_with(&self, manager: &Manager, states: &str, summary: Summary) {
        manager.tell(&format!("{states}STATUS={summary}"));
        *self.told.lock() = Some(summary);
    }

    fn draining(&self) -> Summary {
        Summary::Draining(self.edge.open())
    }

    fn summary(&self) -> Summary {
        if self.live.is_draining() {
            return self.draining();
        }
        let snapshot = self.live.snapshot();
        let endpoints = || snapshot.pools.iter().flat_map(|pool| pool.endpoints());
        Summary::Serving {
            listeners: snapshot.listeners.len(),
            fit: endpoints().filter(|endpoint| endpoint.state() == State::Fit).count(),
            endpoints: endpoints().count(),
        }
    }
}

impl Manager {
    fn new(socket: NotifySocket) -> Self {
        Self {
            socket,
            failures_told: Rarely::default(),
            is_left: AtomicBool::new(false),
            untold: watch::Sender::new(None),
        }
    }

    /// Does not wait for the manager, since nobody is accepted meanwhile.
    fn leave_to(&self, process: u32) {
        self.is_left.store(process != std::process::id(), Ordering::Relaxed);
        let is_told = self.name_main(process).is_ok();
        self.untold.send_replace((!is_told).then_some(process));
    }

    fn name_main(&self, process: u32) -> io::Result<()> {
        self.socket.send_at_once(&format!("MAINPID={process}"))
    }

    /// Tells of the main process again where the manager had no room for it.
    async fn insist(&self) -> Infallible {
        let mut untold = self.untold.subscribe();
        let mut attempts = 0;
        loop {
            // The sender is here.
            let Ok(Some(process)) = untold.wait_for(Option::is_some).await.map(|process| *process) else {
                return pending().await;
            };
            sleep(INSIST_PERIOD).await;
            attempts += 1;
            match self.name_main(process) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && attempts < MOST_ATTEMPTS => {
                    continue;
                }
                Err(error) => {
                    log::error!(
                        "the service manager cannot be told of the main process process={process} error=\"{error}\""
                    );
                }
                Ok(()) => {}
            }
            attempts = 0;
            // Unless it is another one by now.
            self.untold.send_if_modified(|untold| untold.take_if(|untold| *untold == process).is_some());
        }
    }

    /// Says so again and again while a task of the data plane's runtime still gets its turn.
    async fn tell_while_alive(&self, data_plane: &Handle, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A task that fails is one whose runtime ends.
            if data_plane.spawn(async {}).await.is_err() {
                return;
            }
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, states: &str) {
        if self.is_left.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.socket.send(states)
            && self.failures_told.may_tell(Instant::now())
        {
            log::warn!("the service manager cannot be told what goes on error=\"{error}\"");
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        match *self {
            Self::Serving { listeners, fit, endpoints } => {
                write!(f, "{listeners} listener{}", plural(listeners))?;
                if endpoints > 0 {
                    write!(f, ", {fit} of {endpoints} endpoint{} fit", plural(endpoints))?;
                }
                Ok(())
            }
            Self::Draining(open) => write!(f, "draining, {open}"),
        }
    }
}

/// The time by which the manager tells a reload from one that it has asked for before.
fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_data_plane_that_is_stuck_is_not_told_to_be_alive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        let manager = Manager::new(NotifySocket::open(path.as_os_str()).unwrap());
        let data_plane = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (stuck, is_stuck) = sync_channel(0);
        let (release, released) = sync_channel::<()>(0);
        data_plane.spawn(async move {
            stuck.send(()).unwrap();
            released.recv().unwrap();
        });
        is_stuck.recv().unwrap();
        let own = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        own.block_on(async {
            let mut alive = Box::pin(manager.tell_while_alive(data_plane.handle(), Duration::from_millis(1)));
            // It has had many turns by the time that this is over, and none of them may tell.
            let turns = async {
                for _ in 0..20 {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                () = &mut alive => unreachable!(),
                () = turns => {}
            }
            let mut buffer = [0; 64];
            assert_eq!(heard.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            release.send(()).unwrap();
            let told = async {
                loop {
                    if let Ok(length) = heard.recv(&mut buffer) {
                        return buffer[..length].to_vec();
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = &mut alive => unreachable!(),
                told = told => assert_eq!(told, b"WATCHDOG=1"),
            }
        });
    }

    /// A manager that has no room for another message, and what to read it by.
    fn full(folder: &tempfile::TempDir) -> (Manager, UnixDatagram) {
        let path = folder.path().join("notify.sock");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        let manager = Manager::new(NotifySocket::open(path.as_os_str()).unwrap());
        while manager.socket.send_at_once("STATUS=x").is_ok() {}
        (manager, heard)
    }

    fn heard_by(manager: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 64];
        let heard =
            std::iter::from_fn(|| manager.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()));
        let heard = heard.map(|message| String::from_utf8(message).unwrap());
        heard.filter(|message| message != "STATUS=x").collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_manager_learns_of_the_last_main_process_once_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (manager, heard) = full(&folder);
        manager.leave_to(4711);
        manager.leave_to(4712);
        let read = async {
            sleep(3 * INSIST_PERIOD).await;
            assert_eq!(heard_by(&heard), [""; 0]);
            let _ = manager.untold.subscribe().wait_for(Option::is_none).await;
        };
        tokio::select! {
            never = manager.insist() => match never {},
            () = read => {}
        }
        assert_eq!(heard_by(&heard), ["MAINPID=4712"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_that_never_reads_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (manager, heard) = full(&folder);
        manager.leave_to(4711);
        let mut untold = manager.untold.subscribe();
        tokio::select! {
            never = manager.insist() => match never {},
            _ = untold.wait_for(Option::is_none) => {}
        }
        assert_eq!(heard_by(&heard), [""; 0]);
    }

    #[test]
    fn a_summary_is_a_short_text() {
        for (summary, expected) in [
            (Summary::Serving { listeners: 1, fit: 0, endpoints: 0 }, "1 listener"),
            (Summary::Serving { listeners: 2, fit: 0, endpoints: 1 }, "2 listeners, 0 of 1 endpoint fit"),
            (Summary::Serving { listeners: 3, fit: 4, endpoints: 5 }, "3 listeners, 4 of 5 endpoints fit"),
            (
                Summary::Draining(Open { http: 1, tunnels: 0, tcp: 2, udp: 0 }),
                "draining, http=1 tunnels=0 tcp=2 udp=0",
            ),
        ] {
            assert_eq!(summary.to_string(), expected);
        }
    }
}
