use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::net::Transport;
use crate::runtime::{BrokenOff, Connection, Room, Stage};

use super::answer_head::AnswerHead;
use super::body::{Body, Framing};
use super::http2::Guard;
use super::last_chunk::{LastChunk, with_trailers};

/// A client's connection as Pingora reads and writes it.
///
/// - It hands over one HTTP/1 request at a time: the header that was checked, then its body up to its end. What
///   the client sends ahead waits here, so that nothing ever takes the next request for a part of this one.
/// - It gathers small writes, so that a response's header and body leave in one packet and one system call.
/// - A write that makes no progress for `send_idle` fails.
/// - It carries the [`Connection`] to the gateway.
pub(super) struct EdgeStream {
    transport: Transport,
    connection: Arc<Connection>,
    digest: Arc<ProxyDigest>,
    /// Read from the socket and not handed over yet.
    inbound: BytesMut,
    /// So many bytes of `inbound` are the header of the present request.
    head_left: usize,
    body: Body,
    /// Written by Pingora and not sent yet.
    outbound: BytesMut,
    last_chunk: LastChunk,
    answer_head: AnswerHead,
    /// Wakes who waits for the pace of an answer.
    pace: Option<Pin<Box<Sleep>>>,
    send_idle: Duration,
    stall: Option<Pin<Box<Sleep>>>,
    push: Option<Pin<Box<Sleep>>>,
    /// Looks at all that passes on HTTP/2.
    guard: Option<Guard>,
    linger: Option<Linger>,
}

/// What may still be read and forgotten of a connection that is closed.
struct Linger {
    left: usize,
    end: Pin<Box<Sleep>>,
}

/// What is gathered before it is sent unasked: one TLS record, eleven packets.
const GATHER: usize = 16 * 1024;
/// What was gathered is sent unasked after this, for clients of endpoints that are slow with the rest.
const GATHER_FOR: Duration = Duration::from_millis(5);
/// A read of a header asks for so much; most headers are shorter.
const HEAD_READ: usize = 4096;

/// The longest piece of a body while it is read ahead of its endpoint.
const SIP: usize = 4096;

impl EdgeStream {
    pub(super) fn new(transport: Transport, connection: Arc<Connection>) -> io::Result<Box<Self>> {
        // Pingora's digest wants the response of a CONNECT proxy; there is none, so it is never looked at.
        let response = ResponseHeader::build(200, Some(0)).map_err(io::Error::other)?;
        let user_data: Box<dyn Any + Send + Sync> = Box::new(connection.clone());
        Ok(Box::new(Self {
            transport,
            digest: Arc::new(ProxyDigest::new(Box::new(response), Some(user_data))),
            inbound: BytesMut::new(),
            head_left: 0,
            body: Body::Length(0),
            outbound: BytesMut::new(),
            last_chunk: LastChunk::default(),
            answer_head: AnswerHead::default(),
            pace: None,
            send_idle: connection.listener().limits.send_idle.get(),
            connection,
            stall: None,
            push: None,
            guard: None,
            linger: None,
        }))
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// What was read ahead of the present request.
    pub(super) fn inbound(&self) -> &[u8] {
        &self.inbound
    }

    /// Waits for something to read, holding no buffer until then, and reads it; zero at the end of the
    /// connection. Nothing is lost when this is dropped in mid-wait.
    pub(super) async fn arrival(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_arrival(cx)).await
    }

    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // On the stack, so that a connection at rest has no buffer.
        let mut piece = [MaybeUninit::uninit(); HEAD_READ];
        let mut piece = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut self.transport).poll_read(cx, &mut piece))?;
        self.inbound.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    }

    /// Reads more ahead; the number of bytes, zero at the end of the connection.
    pub(super) async fn read_ahead(&mut self) -> io::Result<usize> {
        self.inbound.reserve(HEAD_READ);
        self.transport.read_buf(&mut self.inbound).await
    }

    /// Drops bytes that were read ahead, from the first on.
    pub(super) fn skip(&mut self, count: usize) {
        self.inbound.advance(count);
    }

    /// Hands over the request whose header is the first `head` bytes read ahead.
    pub(super) fn begin_request(&mut self, head: usize, framing: Framing) {
        self.head_left = head;
        self.body = framing.into();
        self.answer_head = AnswerHead::default();
    }

    /// Hands over everything from here on, as far as the guard lets it: HTTP/2.
    pub(super) fn open(&mut self, guard: Guard) {
        self.body = Body::Endless;
        self.guard = Some(guard);
    }

    /// Sends what is left and gives back what the request's buffers took. Fails when not all of the request was read:
    /// what comes next on the connection would be taken for a request.
    pub(super) async fn end_request(&mut self) -> io::Result<()> {
        if self.head_left > 0 || !self.body.is_done() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.flush().await?;
        self.connection.end_lasting();
        self.connection.pacing().clear();
        // Those of a response whose body was not in chunks.
        drop(self.connection.take_trailers());
        self.outbound = BytesMut::new();
        if self.inbound.is_empty() {
            self.inbound = BytesMut::new();
        }
        Ok(())
    }

    fn hand_over(&mut self, count: usize, buf: &mut ReadBuf<'_>) {
        buf.put_slice(&self.inbound[..count]);
        self.inbound.advance(count);
    }

    /// Reads on behalf of a request that has no more bytes: only the end of the connection is told, and what
    /// the client sends ahead is kept.
    fn poll_beyond(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.reader().register(cx.waker());
        if self.connection.is_upgraded() {
            self.body = Body::Endless;
            // Read again, now without an end.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.inbound.is_empty() {
            return Poll::Pending;
        }
        let mut ahead = [0; 512];
        let mut ahead = ReadBuf::new(&mut ahead);
        ready!(Pin::new(&mut self.transport).poll_read(cx, &mut ahead))?;
        if ahead.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.inbound.extend_from_slice(ahead.filled());
        Poll::Pending
    }

    /// Turns waiting without progress into an error.
    fn watch_stall<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stall = None;
            return poll;
        }
        if self.connection.is_broken_off() {
            return Poll::Ready(Err(BrokenOff.into()));
        }
        let send_idle = self.send_idle;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(send_idle)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    /// Sends what was gathered.
    fn poll_send_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbound.is_empty() {
            let sent = Pin::new(&mut self.transport).poll_write(cx, &self.outbound);
            match ready!(self.watch_stall(cx, sent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.outbound.advance(sent),
            }
        }
        self.push = None;
        // TLS has a buffer of its own, so that only its flush tells whether the client takes what it is sent.
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        self.watch_stall(cx, flushed)
    }

    /// Sends what was gathered when nothing more has come for a while. Pingora flushes a body of known length only
    /// at its end; while it waits for the rest it listens to the client, and that is when this is called.
    fn push_gathered(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let push = self.push.get_or_insert_with(|| Box::pin(tokio::time::sleep(GATHER_FOR)));
        if push.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        match self.poll_send_gathered(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends what was gathered and then `bytes`; the number of bytes of `bytes` that were taken.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let gathered = self.outbound.len();
            let slices = [IoSlice::new(&self.outbound), IoSlice::new(bytes)];
            let sent = Pin::new(&mut self.transport).poll_write_vectored(cx, &slices);
            let sent = ready!(self.watch_stall(cx, sent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbound.advance(sent.min(gathered));
            if sent > gathered {
                return Poll::Ready(Ok(sent - gathered));
            }
        }
    }

    /// How much of the bytes that are written may be taken now. While none may, what was written before goes out.
    fn poll_pace(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let is_head = self.answer_head.left(bytes);
        if is_head > 0 {
            return Poll::Ready(Ok(is_head));
        }
        loop {
            let due = match self.connection.pacing().room(bytes.len(), Instant::now()) {
                Room::Bytes(count) => return Poll::Ready(Ok(count)),
                Room::NotBefore(due) => due,
            };
            ready!(self.poll_send_gathered(cx))?;
            if self.connection.is_broken_off() {
                return Poll::Ready(Err(BrokenOff.into()));
            }
            let pace = self.pace.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if pace.deadline() != due {
                pace.as_mut().reset(due);
            }
            ready!(pace.as_mut().poll(cx));
        }
    }

    fn note_written(&mut self, count: usize) {
        if !self.answer_head.take(count) {
            self.connection.pacing().on_passed(count);
        }
    }

    /// Hands over what there is of the present request, or else reads more of it.
    fn poll_hand_over(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.head_left > 0 {
            let count = self.head_left.min(buf.remaining());
            self.head_left -= count;
            self.hand_over(count, buf);
            return Poll::Ready(Ok(()));
        }
        if self.body.is_done() {
            return self.poll_beyond(cx);
        }
        let is_sip = self.connection.is_sipping() && !matches!(self.body, Body::Endless);
        if is_sip && self.inbound.is_empty() && ready!(self.poll_arrival(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        if !self.inbound.is_empty() {
            let most = if is_sip { SIP } else { usize::MAX };
            let room = self.inbound.len().min(buf.remaining()).min(most);
            let count = self.body.take(&self.inbound[..room])?;
            self.hand_over(count, buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.transport).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        let count = self.body.take(read)?;
        self.inbound.extend_from_slice(&read[count..]);
        buf.set_filled(before + count);
        Poll::Ready(Ok(()))
    }

    /// Reads and forgets what the client still sends, so that closing does not reset the connection before the
    /// client has read the answer. Bounded in time and bytes.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        const LONGEST: Duration = Duration::from_secs(2);
        const MOST: usize = 1024 * 1024;

        let new = || Linger { left: MOST, end: Box::pin(tokio::time::sleep(LONGEST)) };
        let linger = self.linger.get_or_insert_with(new);
        let mut scratch = [MaybeUninit::uninit(); HEAD_READ];
        while linger.left > 0 && linger.end.as_mut().poll(cx).is_pending() {
            let mut scratch = ReadBuf::uninit(&mut scratch);
            let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut scratch));
            if read.is_err() || scratch.filled().is_empty() {
                break;
            }
            linger.left = linger.left.saturating_sub(scratch.filled().len());
        }
        Poll::Ready(())
    }
}

impl AsyncRead for EdgeStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.outbound.is_empty() {
            this.push_gathered(cx)?;
        }
        if this.guard.as_ref().is_some_and(Guard::is_shut) {
            return Poll::Pending;
        }
        if this.connection.is_broken_off() {
            return Poll::Ready(Err(BrokenOff.into()));
        }
        let before = buf.filled().len();
        let read = this.poll_hand_over(cx, buf);
        match &mut this.guard {
            Some(guard) => guard.on_read(cx, read, buf, before),
            None => read,
        }
    }
}

impl AsyncWrite for EdgeStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.last_chunk.is_it(bytes)
            && let Some(trailers) = this.connection.take_trailers()
        {
            this.outbound.extend_from_slice(&with_trailers(&trailers));
            return Poll::Ready(Ok(bytes.len()));
        }
        let bytes = &bytes[..ready!(this.poll_pace(cx, bytes))?];
        let taken = if bytes.is_empty() || this.outbound.len() + bytes.len() <= GATHER {
            this.outbound.extend_from_slice(bytes);
            bytes.len()
        } else {
            ready!(this.poll_send(cx, bytes))?
        };
        this.note_written(taken);
        if let Some(guard) = &mut this.guard {
            guard.on_write(&bytes[..taken]);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.last_chunk.on_flush();
        this.poll_send_gathered(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut *this).poll_flush(cx))?;
            // TLS says goodbye first, and waits for room to say it.
            let shut = Pin::new(&mut this.transport).poll_shutdown(cx);
            ready!(this.watch_stall(cx, shut))?;
        }
        // On HTTP/1 the owner of the stream knows whether there is something to wait for.
        if this.guard.is_some() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for EdgeStream {
    async fn shutdown(&mut self) {
        let sent = AsyncWriteExt::shutdown(self).await;
        let has_time = !self.connection.ending().has_reached(Stage::AllCut);
        let client_may_be_sending = has_time && (!self.body.is_done() || !self.inbound.is_empty());
        if sent.is_ok() && client_may_be_sending && !matches!(self.body, Body::Endless) {
            poll_fn(|cx| self.poll_linger(cx)).await;
        }
    }
}

impl UniqueID for EdgeStream {
    fn id(&self) -> UniqueIDType {
        self.transport.as_raw_fd()
    }
}

impl Ssl for EdgeStream {}

#[async_trait]
impl Peek for EdgeStream {}

impl GetTimingDigest for EdgeStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for EdgeStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.digest.clone())
    }
}

impl GetSocketDigest for EdgeStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl fmt::Debug for EdgeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeStream")
            .field("peer", &self.connection.peer_ip())
            .field("listener", &self.connection.listener().name)
            .finish_non_exhaustive()
    }
}
