//! Stored answers that are given as they are.

use std::fmt::Write;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, AGE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora_http::ResponseHeader;

use crate::cache::Found;
use crate::cache::rules::CacheStatus;
use crate::hooks::{Body, BodySource};

/// A stored answer and what its client is told besides.
pub(super) struct Hit {
    found: Found,
    is_get: bool,
    /// What the cache did, where clients are told.
    status: Option<CacheStatus>,
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

impl Hit {
    pub(super) fn new(found: Found, method: &Method, tells_status: bool) -> Self {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let ttl = found.stale_for.map_or_else(|| seconds(found.left), |past| -seconds(past));
        let status = CacheStatus { hit: true, ttl: Some(ttl), ..CacheStatus::default() };
        Self { found, is_get: method == Method::GET, status: tells_status.then_some(status) }
    }

    /// The head as its client gets it. One that is as long as a head can be goes without what is told besides.
    pub(super) fn head(&self) -> ResponseHeader {
        let mut head = self.found.head().clone();
        let _ = head.insert_header(AGE, self.found.age.as_secs());
        if self.is_get && head.status == StatusCode::OK {
            // As Pingora tells where it could give a part.
            let _ = head.insert_header(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if let Some(status) = self.status {
            let _ = tell(status, &mut head);
        }
        head
    }

    /// The lines of the same head but for those that [`tell`](Self::tell) adds, where they are kept.
    pub(super) fn lines(&self) -> Option<&[u8]> {
        self.found.lines().filter(|_| self.is_get)
    }

    /// Adds what is another each time.
    pub(super) fn tell(&self, lines: &mut Vec<u8>) {
        let mut text = String::with_capacity(96);
        // In memory no write fails.
        let _ = write!(text, "Age: {}\r\n", self.found.age.as_secs());
        if let Some(status) = self.status {
            let _ = write!(text, "{}: {status}\r\n", CACHE_STATUS.as_str());
        }
        lines.extend_from_slice(text.as_bytes());
    }

    pub(super) fn status(&self) -> StatusCode {
        self.found.head().status
    }

    /// The length of the body.
    pub(super) fn length(&self) -> u64 {
        self.found.length() as u64
    }

    /// The body, piece by piece.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        (0..).map_while(|number| self.found.piece(number))
    }

    pub(super) fn into_body(self) -> Body {
        let Self { found, .. } = self;
        match (found.piece(0), found.piece(1)) {
            (None, _) => Body::default(),
            (Some(only), None) => Body::Whole(only.clone()),
            _ => Body::stream(StoredBody { left: found.length(), found, next: 0 }),
        }
    }
}

/// Tells in a head what the cache did; `None` when it has no room.
pub(super) fn tell(status: CacheStatus, head: &mut ResponseHeader) -> Option<()> {
    let text = HeaderValue::try_from(status.to_string()).ok()?;
    head.append_header(CACHE_STATUS, text).ok().map(drop)
}

/// The body of a stored answer, whose pieces are handed out as they are kept.
struct StoredBody {
    found: Found,
    next: usize,
    left: usize,
}

#[async_trait]
impl BodySource for StoredBody {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = self.found.piece(self.next).cloned();
        self.next += 1;
        self.left -= piece.as_ref().map_or(0, Bytes::len);
        Ok(piece)
    }

    fn left(&self) -> Option<u64> {
        Some(self.left as u64)
    }
}
