//! One edge after another on the same sockets, as processes do it, while clients come all the time.

use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use socket2::SockRef;
use tokio::runtime::{Builder, Runtime};

use crate::edge::inherited::{HandedOver, Kind};
use crate::runtime::Stage;

use super::support::{LONG, Rig, datagram_client, datagram_is_echoed, eventually, sockets_at, within};
use super::traffic::{Habit, Traffic};

/// The flows of the last kind go over one by one: each answer ends one.
const KINDS: [(&str, usize, &str); 4] = [
    ("web", 16, ""),
    ("db", 8, ", tcp: { pool: echo }"),
    ("dns", 8, ", udp: { pool: dns }"),
    ("one", 4, ", udp: { pool: dns, responses: 1 }"),
];

/// Forty listeners, of which all but four have this address.
fn listeners(ip: &str, folder: &Path) -> String {
    let of_kind = |(kind, count, keys): (&str, usize, &str)| {
        (0..count).map(|number| format!("{kind}{number}: {{ bind: '{ip}:0'{keys} }}")).collect::<Vec<_>>()
    };
    let inet = KINDS.into_iter().flat_map(of_kind);
    let files =
        (0..4).map(|number| format!("file{number}: {{ bind: 'unix:{}/{number}.sock' }}", folder.display()));
    inet.chain(files).collect::<Vec<_>>().join(", ")
}

/// An edge with a runtime of its own, so that nothing of it is left where it ends.
struct Process {
    rig: Rig,
    runtime: Option<Runtime>,
}

impl Process {
    async fn new(listeners: &str, sockets: Option<Vec<HandedOver>>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let text = listeners.to_owned();
        let begin = async move {
            match sockets {
                Some(sockets) => Rig::held(&text, sockets).await,
                None => Rig::new(&text).await,
            }
        };
        let rig = runtime.spawn(begin).await.unwrap();
        Self { rig, runtime: Some(runtime) }
    }
}

impl Deref for Process {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.rig
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// A client for each listener of this kind.
fn each(rig: &Rig, kind: &str, habit: fn(SocketAddr) -> Habit) -> Vec<Habit> {
    let count = KINDS.iter().find(|(one, ..)| *one == kind).unwrap().1;
    (0..count).map(|number| habit(rig.at(&format!("{kind}{number}")))).collect()
}

/// Clients that do not care which process serves them.
async fn restless(rig: &Rig, folder: &Path) -> Traffic {
    let mut habits = each(rig, "web", Habit::Asks);
    habits.extend(each(rig, "db", Habit::Echoes));
    habits.extend(each(rig, "one", Habit::Sends));
    habits.extend((0..4).map(|number| Habit::AsksAtFile(folder.join(format!("{number}.sock")))));
    Traffic::new(habits).await
}

/// The same channels under other descriptors.
fn channels(sockets: &[HandedOver]) -> Vec<OwnedFd> {
    sockets.iter().flat_map(|one| &one.channels).map(|end| end.try_clone().unwrap()).collect()
}

/// Waits until the other end of each is closed.
async fn are_closed(channels: &[OwnedFd]) {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 1 << 16];
    let mut is_closed = |end| loop {
        match SockRef::from(end).recv(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            // It was closed before it had read all.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(_) => return false,
        }
    };
    for end in channels {
        eventually("the channel is closed", || is_closed(end)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_follow_each_other_and_no_client_notices() {
    const OWN: &str = "127.91.8.1";
    let folder = tempfile::tempdir().unwrap();
    let text = listeners(OWN, folder.path());
    let mut process = Process::new(&text, None).await;
    let all = restless(&process, folder.path()).await;
    let mut lasting = Traffic::new(each(&process, "dns", Habit::Sends)).await;
    let (before, addresses) = (sockets_at(OWN), process.edge.addresses());
    let mut seen = Vec::new();
    for _ in 0..3 {
        let sockets = process.sockets();
        assert!(sockets.iter().all(|one| match one.kind {
            Kind::Connections | Kind::Admin => one.channels.is_empty(),
            Kind::Datagrams => one.channels.len() == one.sockets.len(),
        }));
        seen.extend(channels(&sockets));
        let next = Process::new(&text, Some(sockets)).await;
        all.goes_on().await;
        eventually("nobody is accepted", || next.edge.busy.load(Ordering::Acquire) == 0).await;
        assert_eq!(next.edge.open().udp, 0);

        within(process.edge.give_way()).await;
        within(next.edge.resume()).await;
        process.ending.advance(Stage::Draining);
        all.goes_on().await;
        lasting.goes_on().await;
        let left = "http=0 tunnels=0 tcp=0 udp=8";
        eventually("only lasting flows stay", || process.edge.open().to_string() == left).await;
        let of_next = Traffic::new(each(&next, "dns", Habit::Sends)).await;
        assert_eq!(process.edge.open().udp, 8, "none begins here");
        assert!(!process.run.is_finished());

        lasting.end().await;
        process.ending.advance(Stage::AllCut);
        within(&mut process.rig.run).await.unwrap();
        lasting = of_next;
        process = next;
        assert_eq!(process.edge.addresses(), addresses);
    }
    all.goes_on().await;
    are_closed(&seen).await;
    eventually("former processes have no sockets", || sockets_at(OWN) == before).await;
    lasting.end().await;
    all.end().await;
}

/// Every other one gives up only when the sockets are its own already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_goes_on_when_those_that_were_to_follow_give_up() {
    const OWN: &str = "127.91.9.1";
    let folder = tempfile::tempdir().unwrap();
    let text = listeners(OWN, folder.path());
    let process = Process::new(&text, None).await;
    let all = restless(&process, folder.path()).await;
    let lasting = Traffic::new(each(&process, "dns", Habit::Sends)).await;
    let before = sockets_at(OWN);
    let mut seen = Vec::new();
    for attempt in 0..4 {
        let sockets = process.sockets();
        seen.extend(channels(&sockets));
        let next = Process::new(&text, Some(sockets)).await;
        if attempt % 2 == 1 {
            within(process.edge.give_way()).await;
            process.ending.advance(Stage::Draining);
        }
        drop(next);
        within(process.edge.resume()).await;
        all.goes_on().await;
        lasting.goes_on().await;
        datagram_is_echoed(&datagram_client(process.at("dns0")).await).await;
    }
    eventually("nothing of the others stays", || sockets_at(OWN) == before).await;
    are_closed(&seen).await;
    lasting.end().await;
    all.end().await;
}

/// It passes on what comes for flows that are elsewhere, whichever listener has the socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_process_still_reaches_the_flows_of_the_one_before() {
    let text = |name: &str, bind: &str| format!("{name}: {{ bind: '{bind}', udp: {{ pool: dns }} }}");
    let first = Rig::new(&text("dns", "127.83.1.1:0")).await;
    let at = first.at("dns");
    first.stop().await;
    let dns = text("dns", &at.to_string());
    let former = Rig::new(&dns).await;
    let flow = datagram_client(at).await;
    datagram_is_echoed(&flow).await;
    let mut next = Rig::held(&dns, former.sockets()).await;
    within(former.edge.give_way()).await;
    within(next.edge.resume()).await;
    former.ending.advance(Stage::Draining);

    datagram_is_echoed(&flow).await;
    assert_eq!((former.edge.open().udp, next.edge.open().udp), (1, 0));
    for text in [text("names", &at.to_string()), String::new(), dns] {
        next.change(&text, LONG);
        datagram_is_echoed(&flow).await;
        assert_eq!((former.edge.open().udp, next.edge.open().udp), (1, 0), "{text}");
    }
    datagram_is_echoed(&datagram_client(at).await).await;
    assert_eq!((former.edge.open().udp, next.edge.open().udp), (1, 1));

    former.stop().await;
    datagram_is_echoed(&flow).await;
    assert_eq!(next.edge.open().udp, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_end_where_the_next_process_knows_no_channels() {
    const TEXT: &str = "dns: { bind: '127.83.1.1:0', udp: { pool: dns } }";
    let former = Rig::new(TEXT).await;
    let at = former.at("dns");
    let flow = datagram_client(at).await;
    datagram_is_echoed(&flow).await;
    let mut sockets = former.sockets();
    sockets.iter_mut().for_each(|one| one.channels.clear());
    let next = Rig::held(TEXT, sockets).await;
    within(former.edge.give_way()).await;
    former.ending.advance(Stage::Draining);
    within(next.edge.resume()).await;
    within(former.run).await.unwrap();
    datagram_is_echoed(&flow).await;
    assert_eq!((former.edge.open().udp, next.edge.open().udp), (0, 1));
}
