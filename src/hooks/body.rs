use std::fmt;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;

/// The body of an answer made at the edge.
pub enum Body {
    /// All of it, in memory.
    Whole(Bytes),
    /// Piece by piece, each made when the client has taken the one before it.
    Stream(Box<dyn BodySource>),
}

/// Makes the body of an answer as its client takes it.
///
/// It is dropped when the client is gone or the process has no more time, in the midst of `next` too.
#[async_trait]
pub trait BodySource: Send {
    /// The next piece; `None` after the last. Keep pieces to some tens of KiB: each client that is slow holds one. It runs
    /// on a worker thread and may wait, but never block.
    ///
    /// # Errors
    /// When the body cannot go on. The client sees its answer broken off, since the status has been sent.
    async fn next(&mut self) -> io::Result<Option<Bytes>>;

    /// How many bytes are still to come, if that is known: before the first piece it becomes the `Content-Length`.
    fn left(&self) -> Option<u64>;
}

impl Body {
    /// Makes the body of a source.
    pub fn stream(source: impl BodySource + 'static) -> Self {
        Self::Stream(Box::new(source))
    }

    /// The whole body, if it is there.
    pub fn as_whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Stream(_) => None,
        }
    }

    /// How long it is, or what is left of it; `None` where nobody knows yet.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Stream(source) => source.left(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Whole(bytes.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Self::Stream(source) => write!(f, "Stream(left: {:?})", source.left()),
        }
    }
}
