use std::io::{self, Write};
use std::mem;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use crate::net::Transport;
use crate::pools::State;
use crate::runtime::{
    Actor, AdminService, Applied, Audit, Control, ControlError, Deed, Drain, Ending, NotUpgraded, Refused,
    RequestReport, Stage, Tap, Target, TooManyTaps, Unanswerable, Upgraded, Verdict, Via,
};
use crate::types::Span;

use super::bind::Door;
use super::protocol::{Command, InvalidLine, Reply};

/// Whoever answers on the socket.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) control: Arc<Control>,
    /// Those who speak HTTP.
    pub(crate) admin: Arc<dyn AdminService>,
}

/// One client and its one request.
struct Connection {
    stream: BufReader<UnixStream>,
}

/// Why a request is not answered as it was meant.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Nobody is left to be told anything.
    #[error(transparent)]
    Gone(#[from] io::Error),
    #[error("only root and the user who runs this process may ask it, not user {0}")]
    Stranger(u32),
    #[error("the request is longer than 4KiB")]
    TooLong,
    #[error("the request did not arrive within {LINE_LIMIT:?}")]
    TooLate,
    #[error("the request is {0}")]
    Invalid(#[from] InvalidLine),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Explain(#[from] Unanswerable),
    #[error(transparent)]
    Tap(#[from] TooManyTaps),
    /// The configuration is, not the request.
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0} was taken in again meanwhile")]
    Undrained(Target),
}

/// Connections at once; further ones are told so and closed.
pub(crate) const MOST_CONNECTIONS: usize = 16;
/// Bytes of a request.
const MOST_BYTES: u64 = 4 << 10;
/// How long a request may take to come, and a reply to be taken.
const LINE_LIMIT: Duration = Duration::from_secs(5);
/// How often a drain is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A drain is told of at least so often: by this a client that is gone is noticed here, and a stuck process there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// No tap is open for longer.
const LONGEST_TAP: Duration = Duration::from_secs(600);
/// The pause after a connection could not be accepted.
const REST: Duration = Duration::from_millis(100);

/// Answers on the socket until `shutdown` turns true, as long as the door is open.
///
/// # Errors
/// When the socket cannot be used at all.
pub(crate) async fn serve(
    socket: StdListener,
    answering: Answering,
    door: &Door,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let socket = UnixListener::from_std(socket)?;
    let mut connections = JoinSet::new();
    // A sender that is gone is the end, too.
    let stop = async { drop(shutdown.wait_for(|stopping| *stopping).await) };
    tokio::pin!(stop);
    let mut is_open = door.is_open();
    let mut ending = Ending::default();
    loop {
        let answers = *is_open.borrow_and_update();
        if !answers {
            // Those who rest are to come back to the process that answers now.
            mem::take(&mut ending).advance(Stage::Draining);
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            Ok(()) = is_open.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if answers => match accepted {
                Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                    connections.spawn(answer(stream, answering.clone(), ending.clone()));
                }
                Ok((stream, _)) => turn_away(stream),
                Err(error) => {
                    log::warn!("a control connection cannot be accepted error={error}");
                    sleep(REST).await;
                }
            },
        }
    }
}

/// Serves a client in the way that it speaks: requests of HTTP begin with the capital letters of their method, and lines of
/// the protocol with a brace.
async fn answer(stream: UnixStream, Answering { control, admin }: Answering, ending: Ending) {
    let transport = Transport::Unix(stream);
    let mut first = [0];
    let has_come = timeout(LINE_LIMIT, transport.peek(&mut first)).await.is_ok();
    let Transport::Unix(stream) = transport else { return };
    if first[0].is_ascii_uppercase() {
        if let Ok(uid) = admitted(&stream, &control) {
            admin.serve(Transport::Unix(stream), Via::ControlSocket { uid }, ending).await;
        }
        return;
    }
    let mut connection = Connection { stream: BufReader::new(stream) };
    if has_come {
        connection.serve(control).await;
    } else {
        // Whoever is gone needs no answer.
        let _ = connection.tell(&Reply::Error(Failure::TooLate.to_string())).await;
    }
}

/// One line fits into a new connection's buffer, so nothing is waited for.
fn turn_away(stream: UnixStream) {
    let reply = Reply::Error(format!("{MOST_CONNECTIONS} others ask this process already"));
    // Whoever is gone needs no answer.
    let _ = stream.into_std().and_then(|mut stream| stream.write(&reply.to_line()));
}

impl Connection {
    async fn serve(mut self, control: Arc<Control>) {
        let reply = match self.answer(&control).await {
            Ok(Some(reply)) => reply,
            Ok(None) | Err(Failure::Gone(_)) => return,
            Err(Failure::Refused(refused)) => Reply::Refused(refused.into_text()),
            Err(failure) => Reply::Error(failure.to_string()),
        };
        // Whoever is gone needs no answer.
        let _ = self.tell(&reply).await;
    }

    /// The last reply; none where nothing was asked.
    async fn answer(&mut self, control: &Arc<Control>) -> Result<Option<Reply>, Failure> {
        let peer = admitted(self.stream.get_ref(), control)?;
        let Some(command) = self.command().await? else { return Ok(None) };
        let (by, now) = (Actor::user(peer), Instant::now());
        let reply = match command {
            Command::Status { pool } => Reply::Status(Box::new(control.status(pool.as_deref(), now)?)),
            Command::Drain { endpoint, wait } => {
                let drain = control.drain(&endpoint, &by, now)?;
                self.watch(&drain, endpoint, wait).await?
            }
            Command::Undrain { endpoint } => {
                Reply::Undrained { state: control.undo_drain(&endpoint, &by, now)?.as_str().to_owned() }
            }
            Command::Eject { endpoint, time } => {
                Reply::Ejected { state: control.eject(&endpoint, time, &by, now)?.as_str().to_owned() }
            }
            Command::Weight { endpoint, weight } => {
                let change = control.set_weight(&endpoint, weight, &by, now)?;
                Reply::Weight { from: change.from, to: change.to }
            }
            Command::Canary { route, order } => Reply::Canary(control.canary(&route, order, &by, now)?),
            Command::Purge { cache, what } => {
                Reply::Purged(control.purge(cache.as_deref(), &what, &by, now).await?)
            }
            Command::Log { level } => {
                let was = level.map(|level| control.set_log_level(level, &by, now)).transpose()?;
                Reply::Log { level: control.log_level(), was }
            }
            Command::Reload { probation } => {
                let applied = self.while_working(control.changes().reload(&by, probation, None)).await?;
                self.follow(applied?).await?
            }
            Command::Rollback { to } => {
                let applied = self.while_working(control.changes().roll_back(&by, to, None)).await?;
                self.follow(applied?).await?
            }
            Command::Upgrade { order } => {
                let upgraded = self.while_working(control.changes().upgrade(&by, order)).await?;
                match upgraded {
                    Ok(Upgraded { process, version }) => Reply::Upgraded { process, version },
                    Err(NotUpgraded::Configuration(problems)) => Reply::Refused(problems),
                    Err(NotUpgraded::Failed(why)) => Reply::Stays(why),
                }
            }
            Command::Drift { draft } => {
                let control = control.clone();
                // Files are read.
                let compared = spawn_blocking(move || control.drift(now)).await.map_err(io::Error::other)?;
                let (drift, made) = compared?;
                Reply::Drift { drift, draft: draft.then_some(made) }
            }
            Command::History {} => Reply::History(control.changes().history()),
            Command::Served {} => Reply::Served(control.changes().served().anywhere()),
            Command::Explain { question } => Reply::Explained(control.explain(&question)?),
            Command::Tap { filter, most, wait } => {
                let tap = control.tap(filter)?;
                self.let_run(tap, most, wait).await?
            }
        };
        Ok(Some(reply))
    }

    async fn command(&mut self) -> Result<Option<Command>, Failure> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MOST_BYTES + 1);
        let read = timeout(LINE_LIMIT, limited.read_until(b'\n', &mut line));
        match read.await.map_err(|_| Failure::TooLate)?? {
            0 => Ok(None),
            _ if line.len() as u64 > MOST_BYTES => Err(Failure::TooLong),
            _ => Ok(Some(Command::from_line(&line)?)),
        }
    }

    /// Tells how a drain goes on until it is over, or the time for it is.
    async fn watch(&mut self, drain: &Drain, target: Target, wait: Span) -> Result<Reply, Failure> {
        let begun = Instant::now();
        let mut told = None;
        loop {
            // Before the first look, too: a request that was given this endpoint just before the drain counts by then.
            sleep(LOOK).await;
            let (now, in_flight) = (Instant::now(), drain.in_flight());
            match drain.state() {
                State::Drained => return Ok(Reply::Drained),
                State::Draining if now - begun >= wait.get() => return Ok(Reply::Draining { in_flight }),
                State::Draining => {}
                _ => return Err(Failure::Undrained(target)),
            }
            let is_news = |(count, at)| count != in_flight || now - at >= HEARTBEAT;
            if told.is_none_or(is_news) {
                self.tell(&Reply::InFlight(in_flight)).await?;
                told = Some((in_flight, now));
            }
        }
    }

    /// Tells of requests as they end, until there were `most` or the time is over.
    async fn let_run(&mut self, mut tap: Tap, most: u32, wait: Span) -> io::Result<Reply> {
        let until = Instant::now() + wait.get().min(LONGEST_TAP);
        let mut heartbeat = interval(HEARTBEAT);
        let mut told = 0;
        while told < most {
            let recording = tokio::select! {
                biased;
                () = sleep_until(until) => break,
                _ = heartbeat.tick() => None,
                recording = tap.next() => Some(recording),
            };
            match recording {
                Some(recording) => {
                    told += 1;
                    self.tell(&Reply::Tapped(Box::new(RequestReport::of(&recording)))).await?;
                }
                None => self.tell(&missed(&tap).unwrap_or(Reply::Working)).await?,
            }
        }
        if let Some(missed) = missed(&tap) {
            self.tell(&missed).await?;
        }
        Ok(Reply::TapEnded { told })
    }

    /// Says again and again that the work goes on, until it is done.
    async fn while_working<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = sleep(HEARTBEAT) => self.tell(&Reply::Working).await?,
            }
        }
    }

    /// Tells what a change came to, and its probation.
    async fn follow(&mut self, applied: Applied) -> io::Result<Reply> {
        let Applied { report, verdict: Some(mut verdict) } = applied else {
            return Ok(Reply::Changed(applied.report));
        };
        self.tell(&Reply::OnProbation(report)).await?;
        let judged =
            async move { verdict.wait_for(Option::is_some).await.ok().and_then(|told| told.clone()) };
        // Whoever judges is gone only when the process ends.
        Ok(Reply::Judged(self.while_working(judged).await?.unwrap_or(Verdict::Overtaken)))
    }

    async fn tell(&mut self, reply: &Reply) -> io::Result<()> {
        timeout(LINE_LIMIT, self.stream.write_all(&reply.to_line())).await?
    }
}

/// The user behind a connection, if it may ask. That somebody else has tried is noted.
fn admitted(stream: &UnixStream, control: &Control) -> Result<u32, Failure> {
    admit(stream.peer_cred()?.uid(), geteuid().as_raw(), control.changes().audit())
}

fn admit(peer: u32, own: u32, audit: &Audit) -> Result<u32, Failure> {
    if may_ask(peer, own) {
        return Ok(peer);
    }
    let stranger = Failure::Stranger(peer);
    audit.record(&Actor::user(peer), Deed::denied(&stranger), Instant::now());
    Err(stranger)
}

fn missed(tap: &Tap) -> Option<Reply> {
    Some(tap.take_missed()).filter(|&missed| missed > 0).map(Reply::Missed)
}

/// The socket's mode says the same, but a socket may be passed on, or its mode be changed.
fn may_ask(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::Origin;
    use crate::runtime::{DeedResult, Live, Registry, Unchanging, assemble};

    const TEXT: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [127.0.0.1:9001, 127.0.0.1:9002] } }
routes: [{ pool: app }]
";

    /// A client of a connection that is served.
    fn connected() -> UnixStream {
        let origin = Origin::test(TEXT);
        let snapshot = assemble(&origin, &Registry::with_built_ins(), None).unwrap().snapshot;
        let (client, server) = UnixStream::pair().unwrap();
        let connection = Connection { stream: BufReader::new(server) };
        tokio::spawn(
            connection.serve(Arc::new(Control::new(
                Arc::new(Live::new(snapshot)),
                Arc::new(Unchanging::default()),
            ))),
        );
        client
    }

    async fn answer_to(request: &[u8]) -> String {
        let mut client = connected();
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn an_endpoint_without_work_is_drained_at_once() {
        let request = br#"{"v":1,"do":{"drain":{"endpoint":"app/127.0.0.1:9001","wait":"0s"}}}"#;
        let answer = answer_to(&[request.as_slice(), b"\n"].concat()).await;
        assert_eq!(answer, "{\"v\":1,\"reply\":\"drained\"}\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_come_is_not_waited_for() {
        assert_eq!(
            answer_to(b"{\"v\":1").await,
            "{\"v\":1,\"reply\":{\"error\":\"the request did not arrive within 5s\"}}\n"
        );
    }

    #[tokio::test]
    async fn whoever_asks_nothing_is_told_nothing() {
        let mut client = connected();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "");
    }

    #[test]
    fn an_attempt_of_somebody_else_is_noted() {
        let audit = Audit::default();
        assert!(admit(0, 1000, &audit).is_ok() && admit(1000, 1000, &audit).is_ok());
        assert!(matches!(admit(1001, 1000, &audit), Err(Failure::Stranger(1001))));
        let [noted] = &audit.recent()[..] else { panic!("one entry") };
        assert_eq!(
            (&*noted.who, &*noted.from, noted.result),
            ("uid 1001", "control socket", DeedResult::Denied)
        );
    }

    #[test]
    fn only_root_and_the_own_user_may_ask() {
        assert!(may_ask(0, 1000) && may_ask(1000, 1000) && may_ask(0, 0));
        assert!(!may_ask(1000, 0) && !may_ask(1001, 1000));
    }
}
