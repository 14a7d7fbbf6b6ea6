use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::io::Errno;

use super::message::Protocol;

/// Why a hand-over came to nothing, and in which step.
#[derive(Debug, thiserror::Error)]
#[error("the hand-over failed at {stage}: {cause}")]
pub(crate) struct HandoverError {
    pub(crate) stage: Stage,
    pub(crate) cause: Cause,
}

/// The steps of a hand-over, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The start of the new process.
    Start,
    /// Both say who they are, and agree on a version of the protocol.
    Greeting,
    Sockets,
    State,
    /// The new process says that it could serve, and is told to.
    Ready,
    /// Both live, each until its own end.
    Handed,
    /// Nothing more can be done on this connection.
    Over,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("`{}` cannot be started: {source}", program.display())]
    NotStarted { program: PathBuf, source: io::Error },
    #[error("{} is set, but standard input is not the socket of a hand-over; unset it", super::VARIABLE)]
    NoSocket,
    #[error("{awaited} did not come within {limit:?}")]
    TooLate { awaited: &'static str, limit: Duration },
    #[error("the new process {} before {awaited}", Exit(*status))]
    Exited { status: ExitStatus, awaited: &'static str },
    #[error("the other process closed the connection")]
    Closed,
    #[error("the other process closed the connection before {awaited}")]
    ClosedBefore { awaited: &'static str },
    #[error("the other process closed the connection after {0} bytes of a frame")]
    Truncated(usize),
    #[error(
        "the other process speaks {theirs} of the hand-over, and this one {}; restart in place of the upgrade",
        Protocol::SPOKEN
    )]
    Versions { theirs: Protocol },
    /// The new process says what it could not do.
    #[error("the new process could not go on ({stage}): {message}")]
    Failed { stage: String, message: String },
    /// The old process says why it goes on serving.
    #[error("the old process stays: {reason}")]
    Stayed { reason: String },
    #[error("`{got}` came in place of {awaited}")]
    Unexpected { got: &'static str, awaited: &'static str },
    #[error("what came is not understood: {0}")]
    Malformed(String),
    #[error("{what} of {size} bytes is more than the {most} that are allowed")]
    TooLarge { what: &'static str, size: u64, most: u64 },
    #[error("descriptors were lost on the way; is the limit of open files (RLIMIT_NOFILE) reached?")]
    LostDescriptors,
    #[error("{got} descriptors came in place of {expected}")]
    WrongCount { got: usize, expected: usize },
    /// A mistake of the program's own.
    #[error("this step cannot be taken now: the next one is {next}")]
    OutOfOrder { next: Stage },
    #[error(
        "this process has as many files open as it may\n  \
         help: raise the limit of open files (`ulimit -n`, LimitNOFILE in a unit), which takes a restart"
    )]
    NoDescriptor,
    #[error(transparent)]
    Io(io::Error),
}

/// The end of a process in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit(pub(super) ExitStatus);

impl HandoverError {
    /// Something of this process's own that is not to be had, such as a descriptor.
    pub(crate) fn own(stage: Stage, error: io::Error) -> Self {
        Self { stage, cause: error.into() }
    }
}

impl Cause {
    /// Whether nobody is there any more to say anything to.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Closed | Self::ClosedBefore { .. } | Self::Truncated(_) | Self::Exited { .. })
    }

    /// Whether the other process says why nothing will come of it.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Stayed { .. })
    }
}

impl From<io::Error> for Cause {
    /// A peer that went with something unread resets the connection.
    fn from(error: io::Error) -> Self {
        if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) {
            return Self::NoDescriptor;
        }
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "the start",
            Self::Greeting => "the greeting",
            Self::Sockets => "the sockets",
            Self::State => "the state",
            Self::Ready => "the last step",
            Self::Handed => "the common life",
            Self::Over => "none, it is over",
        })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) => write!(f, "was killed by signal {signal}"),
            (None, None) => f.write_str("ended"),
        }
    }
}
