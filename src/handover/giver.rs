use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::Instant;

use super::child::{Child, Program};
use super::connection::Connection;
use super::error::{Cause, HandoverError, Stage};
use super::limits::{Deadline, Limits};
use super::message::{Message, Protocol, SocketEntry};
use super::state::State;
use super::successor::Successor;

/// The side of the old process, which starts the new one and gives it what it has, step by step.
///
/// After a step that fails the new process is no more, and the old one serves as before. The same is so when this is
/// dropped before [`go`](Self::go). The steps are [`greet`](Self::greet), [`give_sockets`](Self::give_sockets),
/// [`give_state`](Self::give_state) where it is asked for, [`ready`](Self::ready), and `go` or [`stay`](Self::stay).
#[derive(Debug)]
pub(crate) struct Giver {
    connection: Connection,
    child: Child,
    limits: Limits,
    started: Instant,
    /// The step to be taken next.
    next: Stage,
}

/// Who a process is, for the other one to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) version: String,
    pub(crate) pid: u32,
}

impl Peer {
    /// The process that this runs in.
    pub(crate) fn this_process() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() }
    }
}

/// What the new process asks for besides sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) state: bool,
}

/// One socket that is given away, which stays open here.
#[derive(Clone, Debug)]
pub(crate) struct Given<'a> {
    pub(crate) entry: SocketEntry,
    pub(crate) socket: BorrowedFd<'a>,
}

impl Giver {
    /// Starts the new process. It inherits standard output and error, the environment, and nothing else but its end of
    /// the connection.
    ///
    /// # Errors
    /// When the program cannot be started at all.
    pub(crate) fn start(program: &Program, limits: Limits) -> Result<Self, HandoverError> {
        let started = || {
            let (own, other) = UnixStream::pair()?;
            Ok((Connection::new(own)?, Child::start(program, other)?))
        };
        let (connection, child) = started().map_err(|cause| HandoverError { stage: Stage::Start, cause })?;
        Ok(Self::new(connection, child, limits))
    }

    pub(super) fn new(connection: Connection, child: Child, limits: Limits) -> Self {
        Self { connection, child, limits, started: Instant::now(), next: Stage::Greeting }
    }

    /// The id of the new process, until its end is known.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the new process has read its configuration, and tells it of which generation this one's is.
    ///
    /// # Errors
    /// Also when it says that its configuration is refused, with what is wrong with it.
    pub(crate) async fn greet(&mut self, own: &Peer, generation: u64) -> Result<Peer, HandoverError> {
        let turn = self.turn(Stage::Greeting);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            let (protocol, peer) = match connection.hear(HELLO).await? {
                Message::Hello { protocol, version, pid } => (protocol, Peer { version, pid }),
                other => return Err(other.unexpected(HELLO)),
            };
            let Some(protocol) = Protocol::SPOKEN.common(protocol) else {
                let cause = Cause::Versions { theirs: protocol };
                let spoken = Protocol::SPOKEN;
                let reason = format!("it speaks {spoken} of the hand-over, and the new one {protocol}");
                connection.say(&Message::Refused { reason }).await?;
                return Err(cause);
            };
            let Peer { version, pid } = own.clone();
            connection.say(&Message::Welcome { protocol, version, pid, generation }).await?;
            Ok(peer)
        };
        let deadline = Deadline::new(self.started, self.limits.hello, HELLO);
        let greeted = self.child.attend(deadline, work).await;
        self.taken(greeted, Stage::Sockets).await
    }

    /// Gives the sockets away, and learns what else is asked for.
    ///
    /// # Errors
    /// Also when the new process could not do with them.
    pub(crate) async fn give_sockets(&mut self, given: &[Given<'_>]) -> Result<Need, HandoverError> {
        let turn = self.turn(Stage::Sockets);
        let deadline = self.deadline(self.limits.step, NEED);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            let entries = given.iter().map(|given| given.entry.clone()).collect();
            let sockets: Vec<_> = given.iter().map(|given| given.socket).collect();
            connection.say(&Message::Sockets { entries }).await?;
            connection.give_descriptors(&sockets).await?;
            match connection.hear(NEED).await? {
                Message::Need { state } => Ok(Need { state }),
                other => Err(other.unexpected(NEED)),
            }
        };
        let asked = self.child.attend(deadline, work).await;
        let next = if asked.as_ref().is_ok_and(|need| need.state) { Stage::State } else { Stage::Ready };
        self.taken(asked, next).await
    }

    /// Gives away what the new process is to know, if it has asked for that.
    ///
    /// # Errors
    /// Also when there is too much of it.
    pub(crate) async fn give_state(&mut self, state: &State) -> Result<(), HandoverError> {
        let turn = self.turn(Stage::State);
        let deadline = self.deadline(self.limits.step, "that the state is taken");
        let connection = &mut self.connection;
        let work = async {
            turn?;
            state.give(connection).await
        };
        let given = self.child.attend(deadline, work).await;
        self.taken(given, Stage::Ready).await
    }

    /// Waits until the new process could serve, and learns which sockets it has no use for.
    ///
    /// # Errors
    /// Also when it says that it cannot, and why.
    pub(crate) async fn ready(&mut self) -> Result<Vec<SocketEntry>, HandoverError> {
        const READY: &str = "`ready`";
        let turn = self.turn(Stage::Ready);
        let deadline = self.deadline(self.limits.ready, READY);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            match connection.hear(READY).await? {
                Message::Ready { unclaimed } => Ok(unclaimed),
                other => Err(other.unexpected(READY)),
            }
        };
        let ready = self.child.attend(deadline, work).await;
        self.taken(ready, Stage::Handed).await
    }

    /// Has the new process serve, and returns when it does. This one accepts nothing more from before on.
    ///
    /// # Errors
    /// When the new process does not come to serve.
    pub(crate) async fn go(mut self) -> Result<Successor, HandoverError> {
        const SERVING: &str = "`serving`";
        let turn = self.turn(Stage::Handed);
        let deadline = self.deadline(self.limits.go, SERVING);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            connection.say(&Message::Go).await?;
            match connection.hear(SERVING).await? {
                Message::Serving => Ok(()),
                other => Err(other.unexpected(SERVING)),
            }
        };
        let gone = self.child.attend(deadline, work).await;
        self.taken(gone, Stage::Over).await?;
        self.child.let_go();
        Ok(Successor::new(self.connection, self.child, self.limits.step))
    }

    /// Gives up at whatever step, and tells the new process why before it is ended; returns how it has, if that is known.
    pub(crate) async fn stay(mut self, reason: &str) -> Option<ExitStatus> {
        let deadline = self.deadline(self.limits.step, "that `stay` is taken");
        let stay = Message::Stay { reason: reason.to_owned() };
        // Whoever is gone, or does not listen, needs no reason.
        if self.child.attend(deadline, self.connection.say(&stay)).await.is_ok() {
            self.child.status().await;
        }
        self.child.end().await
    }

    fn turn(&self, stage: Stage) -> Result<(), Cause> {
        if self.next == stage { Ok(()) } else { Err(Cause::OutOfOrder { next: self.next }) }
    }

    fn deadline(&self, limit: Duration, awaited: &'static str) -> Deadline {
        Deadline::new(Instant::now(), limit, awaited)
    }

    /// Goes on to the next step, or ends the new process.
    async fn taken<T>(&mut self, taken: Result<T, Cause>, next: Stage) -> Result<T, HandoverError> {
        let stage = std::mem::replace(&mut self.next, if taken.is_ok() { next } else { Stage::Over });
        if let Err(cause) = &taken {
            if cause.is_given_up() {
                // It has more to say to its operator than to this process.
                self.child.status().await;
            }
            self.child.end().await;
        }
        taken.map_err(|cause| HandoverError { stage, cause })
    }
}

const HELLO: &str = "`hello`";
const NEED: &str = "`need`";
