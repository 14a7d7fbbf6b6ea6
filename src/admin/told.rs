use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use crate::runtime::Waiting;

/// The body of an answer, with whose end the connection waits for its client again.
#[derive(Debug)]
pub(super) struct Told {
    body: Body,
    waiting: Arc<Waiting>,
}

impl Told {
    pub(super) fn new(body: Body, waiting: Arc<Waiting>) -> Self {
        Self { body, waiting }
    }
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.waiting.note_answered(Instant::now());
    }
}
