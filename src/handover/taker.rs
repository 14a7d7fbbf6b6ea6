use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::connection::Connection;
use super::error::{Cause, HandoverError, Stage};
use super::giver::Peer;
use super::limits::{Deadline, Limits};
use super::message::{Message, Protocol, SocketEntry};
use super::predecessor::Predecessor;
use super::state::State;

/// The side of the new process, which takes over what the old one has, step by step.
///
/// After a step that fails, and when this is dropped, the old process serves as before. The steps are
/// [`greet`](Self::greet), [`take_sockets`](Self::take_sockets), [`take_state`](Self::take_state) and
/// [`ready`](Self::ready); in place of any of them comes [`fail`](Self::fail).
#[derive(Debug)]
pub(crate) struct Taker {
    connection: Connection,
    limits: Limits,
    /// The step to be taken next.
    next: Stage,
}

/// What the old process says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) peer: Peer,
    /// Of the configuration that it serves by.
    pub(crate) generation: u64,
}

/// One socket that was given to this process.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) entry: SocketEntry,
    /// Closed in child processes.
    pub(crate) socket: OwnedFd,
}

/// Whether the socket on standard input has an owner.
static TAKEN: AtomicBool = AtomicBool::new(false);

impl Taker {
    /// Takes over standard input if an old process has started this one, the first time; later there is nothing.
    ///
    /// The variable that says so stays, since no program with threads can safely remove it.
    ///
    /// # Errors
    /// When standard input is not what the variable says.
    pub(crate) fn inherit(limits: Limits) -> Result<Option<Self>, HandoverError> {
        if std::env::var_os(super::VARIABLE).is_none() || TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let taken = stdin_socket().and_then(|socket| Ok(Self::new(socket, limits)?));
        taken.map(Some).map_err(|cause| HandoverError { stage: Stage::Start, cause })
    }

    pub(super) fn new(socket: UnixStream, limits: Limits) -> io::Result<Self> {
        Ok(Self { connection: Connection::new(socket)?, limits, next: Stage::Greeting })
    }

    /// Says that the configuration is good, and who this process is.
    ///
    /// # Errors
    /// Also when the old process does not want to go on with this one, and why.
    pub(crate) async fn greet(&mut self, own: &Peer) -> Result<Welcome, HandoverError> {
        const WELCOME: &str = "`welcome`";
        let turn = self.turn(Stage::Greeting);
        let deadline = self.deadline(self.limits.step, WELCOME);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            let Peer { version, pid } = own.clone();
            connection.say(&Message::Hello { protocol: Protocol::SPOKEN, version, pid }).await?;
            match connection.hear(WELCOME).await? {
                Message::Welcome { protocol, version, pid, generation } => {
                    let theirs = Protocol::only(protocol);
                    Protocol::SPOKEN.common(theirs).ok_or(Cause::Versions { theirs })?;
                    Ok(Welcome { peer: Peer { version, pid }, generation })
                }
                other => Err(other.unexpected(WELCOME)),
            }
        };
        let greeted = deadline.keep(work).await;
        self.taken(greeted, Stage::Sockets)
    }

    /// Takes over the sockets. They are those of the old process: until [`ready`](Self::ready) is over nothing may be
    /// accepted on them.
    ///
    /// # Errors
    /// Also when not all of them arrive; then those that did are closed here.
    pub(crate) async fn take_sockets(&mut self) -> Result<Vec<Taken>, HandoverError> {
        const SOCKETS: &str = "`sockets`";
        let turn = self.turn(Stage::Sockets);
        let deadline = self.deadline(self.limits.step, SOCKETS);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            let entries = match connection.hear(SOCKETS).await? {
                Message::Sockets { entries } => entries,
                other => return Err(other.unexpected(SOCKETS)),
            };
            let sockets = connection.take_descriptors(entries.len()).await?;
            Ok(entries.into_iter().zip(sockets).map(|(entry, socket)| Taken { entry, socket }).collect())
        };
        let sockets = deadline.keep(work).await;
        self.taken(sockets, Stage::State)
    }

    /// Asks for what the old process knows.
    ///
    /// # Errors
    /// Also when that is too much.
    pub(crate) async fn take_state(&mut self) -> Result<State, HandoverError> {
        const STATE: &str = "`state`";
        let turn = self.turn(Stage::State);
        let deadline = self.deadline(self.limits.step, STATE);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            connection.say(&Message::Need { state: true }).await?;
            match connection.hear(STATE).await? {
                Message::State { document, attachments } => {
                    State::take(connection, document, attachments).await
                }
                other => Err(other.unexpected(STATE)),
            }
        };
        let state = deadline.keep(work).await;
        self.taken(state, Stage::Ready)
    }

    /// Says that this process could serve, and has no use for the `unclaimed` sockets; returns when it is to do so.
    ///
    /// # Errors
    /// Also when the old process has decided to stay, and why.
    pub(crate) async fn ready(mut self, unclaimed: Vec<SocketEntry>) -> Result<Predecessor, HandoverError> {
        const GO: &str = "`go`";
        let turn = self.turn(Stage::Ready);
        let deadline = self.deadline(self.limits.step, GO);
        let connection = &mut self.connection;
        let work = async {
            turn?;
            connection.say(&Message::Ready { unclaimed }).await?;
            match connection.hear(GO).await? {
                Message::Go => Ok(()),
                other => Err(other.unexpected(GO)),
            }
        };
        let told = deadline.keep(work).await;
        self.taken(told, Stage::Over)?;
        Ok(Predecessor::new(self.connection, self.limits.step))
    }

    /// Tells the old process what this one could not do, as in "the configuration" and the diagnostics.
    ///
    /// # Errors
    /// When the old process is gone.
    pub(crate) async fn fail(mut self, stage: &str, message: &str) -> Result<(), HandoverError> {
        let deadline = self.deadline(self.limits.step, "that `failed` is taken");
        let failed = Message::Failed { stage: stage.to_owned(), message: start_of(message).to_owned() };
        let told = deadline.keep(self.connection.say(&failed)).await;
        self.taken(told, Stage::Over)
    }

    fn turn(&self, stage: Stage) -> Result<(), Cause> {
        if self.next == stage { Ok(()) } else { Err(Cause::OutOfOrder { next: self.next }) }
    }

    fn deadline(&self, limit: Duration, awaited: &'static str) -> Deadline {
        Deadline::new(Instant::now(), limit, awaited)
    }

    fn taken<T>(&mut self, taken: Result<T, Cause>, next: Stage) -> Result<T, HandoverError> {
        let stage = std::mem::replace(&mut self.next, if taken.is_ok() { next } else { Stage::Over });
        taken.map_err(|cause| HandoverError { stage, cause })
    }
}

/// What another version may do.
#[cfg(test)]
impl Taker {
    /// Goes on without what the old process knows.
    ///
    /// # Errors
    /// When the old process is gone.
    pub(crate) async fn skip_state(&mut self) -> Result<(), HandoverError> {
        let turn = self.turn(Stage::State);
        let deadline = self.deadline(self.limits.step, "that `need` is taken");
        let connection = &mut self.connection;
        let work = async {
            turn?;
            connection.say(&Message::Need { state: false }).await
        };
        let skipped = deadline.keep(work).await;
        self.taken(skipped, Stage::Ready)
    }
}

/// What is told of a failure is cut after so many bytes.
const MOST_TEXT: usize = 256 << 10;

fn start_of(text: &str) -> &str {
    let mut ends = (0..=text.len().min(MOST_TEXT)).rev();
    ends.find_map(|end| text.get(..end)).unwrap_or_default()
}

/// The socket on standard input under a number of its own, which child processes do not get; they, and whatever reads
/// standard input, get an empty one.
fn stdin_socket() -> Result<UnixStream, Cause> {
    let socket = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    let is_stream = socket.domain().is_ok_and(|domain| domain == Domain::UNIX)
        && socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
    if !is_stream {
        return Err(Cause::NoSocket);
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?).map_err(io::Error::from)?;
    Ok(OwnedFd::from(socket).into())
}
