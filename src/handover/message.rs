use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::Cause;

/// What the two processes say to each other.
///
/// Its first two forms are understood by all versions of the protocol. What a later version says besides is skipped.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    /// The new process: this is who I am, and my configuration is good.
    Hello { protocol: Protocol, version: String, pid: u32 },
    /// The old process: no version of the protocol is common.
    Refused { reason: String },
    /// The old process: we speak this version.
    Welcome { protocol: u32, version: String, pid: u32, generation: u64 },
    /// The old process: these sockets follow, as descriptors.
    Sockets { entries: Vec<SocketEntry> },
    /// The new process: this is what I want besides.
    Need { state: bool },
    /// The old process: so many bytes follow.
    State { document: u64, attachments: Vec<AttachmentSize> },
    /// The new process: I could serve, and have no use for these sockets.
    Ready {
        #[serde(default)]
        unclaimed: Vec<SocketEntry>,
    },
    /// The old process: serve; I accept nothing more.
    Go,
    /// The new process: I do.
    Serving,
    /// The old process: I go on serving.
    Stay { reason: String },
    /// The new process: I cannot go on.
    Failed { stage: String, message: String },
    /// The old process: my work is done, this is my end.
    Done,
    /// The new process: this is my end, and I was asked for it.
    Leaving,
    #[serde(other)]
    Unknown,
}

/// The versions of the protocol that a process speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Protocol {
    min: u32,
    max: u32,
}

/// Which socket a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SocketEntry {
    pub(crate) kind: SocketKind,
    /// The name of the listener, where it has one.
    #[serde(default)]
    pub(crate) listener: Option<String>,
    /// As the configuration has it.
    pub(crate) address: String,
    /// Which one of several at this address.
    #[serde(default)]
    pub(crate) ordinal: u32,
    /// Whether the file of a Unix socket was made by the process, and is its to remove.
    #[serde(default)]
    pub(crate) is_own: bool,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SocketKind {
    /// A listener accepts connections on it.
    Connections,
    /// Datagrams of clients arrive on it.
    Datagrams,
    /// Commands such as `evener status` come over it.
    Control,
    /// Those who look after the process connect to it.
    Admin,
    /// It is a stream between the two processes themselves.
    Channel,
    /// Something of a later version.
    #[serde(other)]
    Other,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AttachmentSize {
    pub(super) name: String,
    pub(super) size: u64,
}

impl Message {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Refused { .. } => "refused",
            Self::Welcome { .. } => "welcome",
            Self::Sockets { .. } => "sockets",
            Self::Need { .. } => "need",
            Self::State { .. } => "state",
            Self::Ready { .. } => "ready",
            Self::Go => "go",
            Self::Serving => "serving",
            Self::Stay { .. } => "stay",
            Self::Failed { .. } => "failed",
            Self::Done => "done",
            Self::Leaving => "leaving",
            Self::Unknown => "unknown",
        }
    }

    /// The same, or the cause where it says that nothing will come of the hand-over.
    pub(super) fn unless_given_up(self) -> Result<Self, Cause> {
        match self {
            Self::Failed { stage, message } => Err(Cause::Failed { stage, message }),
            Self::Refused { reason } | Self::Stay { reason } => Err(Cause::Stayed { reason }),
            other => Ok(other),
        }
    }

    pub(super) fn unexpected(&self, awaited: &'static str) -> Cause {
        Cause::Unexpected { got: self.name(), awaited }
    }
}

impl Protocol {
    /// What this program speaks.
    pub(crate) const SPOKEN: Self = Self { min: 1, max: 1 };

    /// The latest version that both speak.
    pub(super) fn common(self, other: Self) -> Option<u32> {
        let latest = self.max.min(other.max);
        (latest >= self.min.max(other.min)).then_some(latest)
    }

    pub(super) fn latest(self) -> u32 {
        self.max
    }

    pub(super) fn only(version: u32) -> Self {
        Self { min: version, max: version }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max } = self;
        if min == max { write!(f, "version {min}") } else { write!(f, "versions {min} to {max}") }
    }
}
