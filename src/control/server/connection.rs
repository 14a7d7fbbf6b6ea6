//! One client that speaks the protocol.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::control::protocol::{Command, InvalidLine, Reply};
use crate::runtime::{Actor, Control, ControlError, NotUpgraded, Refused, Target, Unanswerable, Upgraded};

use super::LINE_LIMIT;
use super::peer::admitted;

/// One client and its one request.
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
}

/// Why a request is not answered as it was meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
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
    /// The configuration is, not the request.
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0} was taken in again meanwhile")]
    Undrained(Target),
}

/// Bytes of a request.
const MOST_BYTES: u64 = 4 << 10;

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(super) async fn serve(mut self, control: Arc<Control>) {
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
            Command::Recent { sample, transition } => Reply::Recent(control.recent(sample, transition)),
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
            Command::Written {} => {
                let applied = self.while_working(control.changes().take_as_read(&by)).await?;
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
                let tap = control.tap(filter, wait)?;
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

    pub(super) async fn tell(&mut self, reply: &Reply) -> io::Result<()> {
        timeout(LINE_LIMIT, self.stream.write_all(&reply.to_line())).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;
    use crate::runtime::{Live, Registry, Unchanging, assemble};

    const TEXT: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [127.0.0.1:9001, 127.0.0.1:9002] } }
routes: [{ pool: app }]
";

    /// A client of a connection that is served.
    fn connected() -> UnixStream {
        let origin = Origin::test(TEXT);
        let snapshot = assemble(&origin, &Registry::with_built_ins(), None).unwrap().snapshot;
        let (client, server) = UnixStream::pair().unwrap();
        let connection = Connection::new(server);
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
}
