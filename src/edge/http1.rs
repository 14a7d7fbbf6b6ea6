use std::io;
use std::pin::Pin;

use pingora_core::protocols::Shutdown;
use pingora_core::protocols::http::ServerSession;
use tokio::time::{Duration, Instant, Sleep, sleep, timeout_at};

use crate::config::spec::Limits;
use crate::gateway::{Answered, HttpApp};
use crate::runtime::{Cause, Ending, LAST_LOOK, Listener, Stage, StageWatch};
use crate::telemetry::AccessLog;

use super::body::Framing;
use super::cut;
use super::head::{Head, HeadLimits, HeadScan};
use super::refusal::refuse;
use super::stream::EdgeStream;

/// What the wait for the next request came to.
enum Next {
    /// This header.
    Head(Head),
    /// None: the client is done, or has been silent for long enough, or the edge drains.
    End,
    /// Nothing that could be served.
    Refused(Cause),
}

/// Serves the requests of a connection one after another until either side has enough. The first header has begun
/// already and is due at `first_due`.
pub(super) async fn serve(app: &HttpApp, mut stream: Box<EdgeStream>, first_due: Instant, log: &AccessLog) {
    let client = stream.connection().clone();
    let (listener, ending) = (client.listener(), client.ending());
    let born = Instant::now();
    let mut wait = listener.limits.header.timeout.get();
    // All live as long as the connection: made anew for every request they would cost it a microsecond.
    let alarm = sleep(wait);
    let drained = ending.reached(Stage::Draining);
    tokio::pin!(alarm, drained);
    let (leaving, mut stages) = (ending.leaving(), StageWatch::new(ending));
    let mut first_due = Some(first_due);
    // Once it was told to end it does, even if the drain is taken back.
    let mut is_last = false;
    for served in 0.. {
        let rest =
            Rest { wait, alarm: alarm.as_mut(), ending, drained: drained.as_mut(), is_last: &mut is_last };
        let head = match next_head(&mut stream, listener, rest, first_due.take()).await {
            Ok(Next::Head(head)) => head,
            Ok(Next::Refused(cause)) => return refuse(stream, &cause, app, log).await,
            Ok(Next::End) => return Shutdown::shutdown(&mut *stream).await,
            Err(_) => return,
        };
        let now = Instant::now();
        let reuses = if is_last { 0 } else { reuses_left(&listener.limits, served, now - born) };
        wait = listener.limits.keepalive.idle.get();
        if head.framing == Framing::None
            && let Some(asked) = app.asked(&stream.inbound()[..head.length], now)
        {
            // Boxed: what stands here in full is memory of every connection for its life.
            let answered = Box::pin(app.answer(asked, &client, &mut *stream, reuses > 0));
            match cut::serve(&mut stages, &*client, answered).await {
                None => return,
                Some(Answered::No) => {}
                Some(Answered::KeepsOn) => {
                    stream.skip(head.length);
                    if stream.end_request().await.is_err() {
                        return;
                    }
                    continue;
                }
                Some(Answered::Ends) => {
                    stream.skip(head.length);
                    return Shutdown::shutdown(&mut *stream).await;
                }
            }
        }
        stream.begin_request(head.length, head.framing);
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive_reuses_remaining(Some(reuses));
        let served = cut::serve(&mut stages, &*client, app.serve(session, &leaving)).await;
        let Some(reused) = served.flatten() else { return };
        let (io, _) = reused.consume();
        let Ok(back) = io.into_any().downcast::<EdgeStream>() else { return };
        stream = back;
        if stream.end_request().await.is_err() {
            return;
        }
    }
}

/// How many requests may follow the one that begins now; zero makes its response say `Connection: close`.
fn reuses_left(limits: &Limits, served: u32, age: Duration) -> u32 {
    if age >= limits.keepalive.age.get() {
        return 0;
    }
    limits.keepalive.requests.get().saturating_sub(served + 1)
}

/// What may end the wait between two requests.
struct Rest<'a, D> {
    wait: Duration,
    alarm: Pin<&'a mut Sleep>,
    ending: &'a Ending,
    drained: Pin<&'a mut D>,
    is_last: &'a mut bool,
}

impl<D: Future> Rest<'_, D> {
    /// Waits for the first bytes of a request; false when there will be none.
    async fn until_arrival(&mut self, stream: &mut EdgeStream) -> io::Result<bool> {
        *self.is_last |= self.ending.has_reached(Stage::Draining);
        let mut deadline = Instant::now() + if *self.is_last { LAST_LOOK } else { self.wait };
        if deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(deadline);
        }
        loop {
            tokio::select! {
                biased;
                arrived = stream.arrival() => return Ok(arrived? > 0),
                // What the client has sent by now is looked at before it is left.
                _ = &mut self.drained, if !*self.is_last => {
                    *self.is_last = true;
                    deadline = deadline.min(Instant::now() + LAST_LOOK);
                    self.alarm.as_mut().reset(deadline);
                }
                // The alarm may have been set for an earlier wait; only when it rings is it set anew.
                () = &mut self.alarm => {
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                    self.alarm.as_mut().reset(deadline);
                }
            }
        }
    }
}

/// Reads the next header: as long as the rest lasts until its first byte, then all of it within its own time.
async fn next_head<D: Future>(
    stream: &mut EdgeStream,
    listener: &Listener,
    rest: Rest<'_, D>,
    due: Option<Instant>,
) -> io::Result<Next> {
    let limits = head_limits(listener);
    let mut scan = HeadScan::default();
    if !begins(stream, rest).await? {
        return Ok(Next::End);
    }
    match scan.advance(stream.inbound(), &limits) {
        Ok(Some(head)) => return Ok(Next::Head(head)),
        Ok(None) => {}
        Err(cause) => return Ok(Next::Refused(cause)),
    }
    let remainder = read_rest(stream, &mut scan, &limits);
    let due = due.unwrap_or_else(|| Instant::now() + listener.limits.header.timeout.get());
    match timeout_at(due, remainder).await {
        Ok(next) => next,
        Err(_) => Ok(Next::Refused(Cause::HeaderTimeout)),
    }
}

/// Waits until a header has begun; false when none will. Some clients send a line end after a body: one is skipped
/// (RFC 9112 §2.2), and alone it begins nothing.
async fn begins<D: Future>(stream: &mut EdgeStream, mut rest: Rest<'_, D>) -> io::Result<bool> {
    let mut may_skip = true;
    loop {
        match stream.inbound() {
            [] => {}
            b"\r" if may_skip => {}
            [b'\r', b'\n', ..] if may_skip => {
                may_skip = false;
                stream.skip(2);
                continue;
            }
            _ => return Ok(true),
        }
        if !rest.until_arrival(stream).await? {
            return Ok(false);
        }
    }
}

async fn read_rest(stream: &mut EdgeStream, scan: &mut HeadScan, limits: &HeadLimits) -> io::Result<Next> {
    loop {
        if stream.read_ahead().await? == 0 {
            return Ok(Next::End);
        }
        match scan.advance(stream.inbound(), limits) {
            Ok(Some(head)) => return Ok(Next::Head(head)),
            Ok(None) => {}
            Err(cause) => return Ok(Next::Refused(cause)),
        }
    }
}

fn head_limits(listener: &Listener) -> HeadLimits {
    let header = &listener.limits.header;
    HeadLimits {
        size: header.size.as_usize(),
        line: listener.max_request_line(),
        count: usize::from(header.count),
    }
}
