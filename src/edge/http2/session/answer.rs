use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::header::{CONNECTION, DATE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Response};
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::date::get_cached_date;
use pingora_core::{Error, ErrorType, OrErr, Result};
use pingora_http::ResponseHeader;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::runtime::{BrokenOff, Ending, Lasting, Pacing, Room, is_endless};

use super::sender::Sender;

/// What goes to the client on a stream. Nothing is handed to the h2 crate that the client's windows have no room for, so
/// that nothing of an answer waits there.
pub(super) struct Answer {
    sender: Sender,
    ending: Ending,
    /// Counts the request where it goes on for as long as its client likes.
    lasting: Option<Lasting>,
    /// Once it is sent.
    head: Option<Box<ResponseHeader>>,
    /// Once nothing may follow.
    ended: Option<Instant>,
    /// Bytes of the body.
    sent: usize,
    /// For each piece of the body.
    limit: Option<Duration>,
    /// How fast the body may go.
    pacing: Option<Pacing>,
}

impl Answer {
    pub(super) fn new(opening: SendResponse<Bytes>, ending: Ending) -> Self {
        let sender = Sender::new(opening);
        Self { sender, ending, lasting: None, head: None, ended: None, sent: 0, limit: None, pacing: None }
    }

    /// Says that the request goes on for as long as its client likes.
    pub(super) fn mark_lasting(&mut self) {
        self.sender.mark_lasting();
        self.lasting.get_or_insert_with(|| self.ending.begin_lasting());
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.sender.is_broken_off()
    }

    /// When the last of the answer was sent.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// The final head, once it is sent.
    pub(super) fn head(&self) -> Option<&ResponseHeader> {
        self.head.as_deref()
    }

    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    pub(super) fn set_pacing(&mut self, pacing: Option<Pacing>) {
        self.pacing = pacing;
    }

    /// Resolves once the client has reset the stream, or the connection has ended.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.sender.poll_reset(cx)
    }

    pub(super) fn note_endpoint(&self) {
        self.sender.note_endpoint();
    }

    pub(super) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Sends a head: any number of informational ones, and then one that `end` says nothing follows.
    pub(super) fn write_head(&mut self, mut head: Box<ResponseHeader>, end: bool) -> Result<()> {
        if self.head.is_some() {
            return Ok(());
        }
        for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
            head.remove_header(&name);
        }
        for name in ["keep-alive", "proxy-connection"] {
            head.remove_header(name);
        }
        if head.status.is_informational() {
            let head = Response::from_parts((*head).into(), ());
            return self.sender.send_informational(head).or_err(ErrorType::WriteError, "an interim head");
        }
        if is_endless(&head.headers) {
            self.mark_lasting();
        }
        head.insert_header(DATE, get_cached_date())?;
        let response = Response::from_parts(head.as_owned_parts(), ());
        self.sender.send_head(response, end).or_err(ErrorType::WriteError, "a head")?;
        self.head = Some(head);
        self.note_end(end);
        Ok(())
    }

    /// Sends a piece of the body as fast as filters let it pass and the client takes it, which it has to do within the limit.
    pub(super) async fn write(&mut self, mut piece: Bytes, end: bool) -> Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        self.expect_head()?;
        loop {
            let part = piece.split_to(self.room(piece.len()).await?);
            let (size, is_last) = (part.len(), piece.is_empty());
            self.send(part, end && is_last).await?;
            self.sent += size;
            if let Some(pacing) = &self.pacing {
                pacing.on_passed(size);
            }
            if is_last {
                self.note_end(end);
                return Ok(());
            }
        }
    }

    /// How much of a piece may pass, perhaps after a wait.
    async fn room(&self, wanted: usize) -> Result<usize> {
        let Some(pacing) = self.pacing.as_ref().filter(|_| wanted > 0) else { return Ok(wanted) };
        loop {
            let due = match pacing.room(wanted, Instant::now()) {
                Room::Bytes(count) => return Ok(count),
                Room::NotBefore(due) => due,
            };
            let mut pause = pin!(sleep_until(due));
            let paused = poll_fn(|cx| match self.sender.is_broken_off() {
                true => Poll::Ready(Err(BrokenOff)),
                false => pause.as_mut().poll(cx).map(Ok),
            });
            paused.await.map_err(io::Error::from).or_err(ErrorType::WriteError, "a body")?;
        }
    }

    async fn send(&self, piece: Bytes, end: bool) -> Result<()> {
        let sending = send(&self.sender, piece, end);
        match self.limit {
            None => sending.await,
            Some(limit) => match timeout(limit, sending).await {
                Ok(sent) => sent,
                Err(_) => Error::e_explain(ErrorType::WriteTimedout, "a body"),
            },
        }
    }

    /// Sends a short body at once, whatever the client has room for.
    pub(super) fn finish_with(&mut self, body: Bytes) -> Result<()> {
        self.expect_head()?;
        self.sender.send_data(body, true).or_err(ErrorType::WriteError, "a body")?;
        self.note_end(true);
        Ok(())
    }

    pub(super) fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        self.expect_head()?;
        self.sender.send_trailers(trailers).or_err(ErrorType::WriteError, "trailers")?;
        self.note_end(true);
        Ok(())
    }

    /// Ends an answer that has begun.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.ended.is_some() || self.head.is_none() {
            return Ok(());
        }
        self.finish_with(Bytes::new())
    }

    /// Breaks an answer off that is not whole.
    pub(super) fn abandon(&mut self) {
        if self.ended.is_none() {
            self.sender.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    /// Sends what came of the answer together; whether it is whole now.
    pub(super) async fn write_tasks(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut is_over = false;
        for task in tasks {
            is_over |= self.write_task(task).await?;
        }
        if is_over {
            self.finish().map_err(Error::into_down)?;
        }
        Ok(is_over)
    }

    async fn write_task(&mut self, task: HttpTask) -> Result<bool> {
        let (written, end) = match task {
            HttpTask::Header(head, end) => (self.write_head(head, end), end),
            HttpTask::Body(Some(piece), end) if !piece.is_empty() => (self.write(piece, end).await, end),
            HttpTask::Body(_, end) => (Ok(()), end),
            HttpTask::Trailer(Some(trailers)) => (self.write_trailers(*trailers), true),
            HttpTask::Trailer(None) | HttpTask::Done => (Ok(()), true),
            HttpTask::UpgradedBody(..) => {
                return Error::e_explain(ErrorType::InternalError, "HTTP/2 knows no upgrades");
            }
            HttpTask::Failed(error) => return Err(error),
        };
        written.map(|()| end).map_err(Error::into_down)
    }

    fn expect_head(&self) -> Result<()> {
        match self.head {
            Some(_) => Ok(()),
            None => Error::e_explain(ErrorType::InternalError, "a body before its head"),
        }
    }

    fn note_end(&mut self, end: bool) {
        if end {
            self.ended = Some(Instant::now());
        }
    }
}

async fn send(sender: &Sender, mut rest: Bytes, end: bool) -> Result<()> {
    while !rest.is_empty() {
        sender.reserve(rest.len());
        let room = poll_fn(|cx| match sender.poll_room(cx) {
            Poll::Pending if sender.is_broken_off() => Poll::Ready(Err(BrokenOff)),
            room => room.map(Ok),
        });
        let room = match room.await.map_err(io::Error::from).or_err(ErrorType::WriteError, "a body")? {
            Some(room) => room.or_err(ErrorType::H2Error, "waiting for a window")?,
            None => {
                return Error::e_explain(ErrorType::H2Error, "waiting for a window of a stream that ended");
            }
        };
        let piece = rest.split_to(room.min(rest.len()));
        let is_last = rest.is_empty();
        if !piece.is_empty() {
            sender.send_data(piece, end && is_last).or_err(ErrorType::WriteError, "a body")?;
        }
        if is_last {
            return Ok(());
        }
    }
    if end { sender.send_data(rest, true).or_err(ErrorType::WriteError, "the end of a body") } else { Ok(()) }
}
