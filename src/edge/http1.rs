use std::io;
use std::sync::Arc;

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Shutdown;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::config::spec::Limits;
use crate::runtime::{Cause, Listener};
use crate::telemetry::AccessLog;

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

/// Serves the requests of a connection one after another until either side has enough.
pub(super) async fn serve<A>(
    app: &Arc<A>,
    mut stream: Box<EdgeStream>,
    mut drain: ShutdownWatch,
    log: &AccessLog,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let listener = stream.connection().listener().clone();
    let born = Instant::now();
    let mut wait = listener.limits.header.timeout.get();
    for served in 0.. {
        let head = match next_head(&mut stream, &listener, wait, &mut drain).await {
            Ok(Next::Head(head)) => head,
            Ok(Next::Refused(cause)) => return refuse(stream, &cause, log).await,
            Ok(Next::End) => return Shutdown::shutdown(&mut *stream).await,
            Err(_) => return,
        };
        stream.begin_request(head.length, head.framing);
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive_reuses_remaining(Some(reuses_left(&listener.limits, served, born)));
        let Some(reused) = app.process_new_http(session, &drain).await else { return };
        let (io, _) = reused.consume();
        let Ok(back) = io.into_any().downcast::<EdgeStream>() else { return };
        stream = back;
        if stream.end_request().await.is_err() {
            return;
        }
        wait = listener.limits.keepalive.idle.get();
    }
}

/// How many requests may follow the one that begins now; zero makes its response say `Connection: close`.
fn reuses_left(limits: &Limits, served: u32, born: Instant) -> u32 {
    if born.elapsed() >= limits.keepalive.age.get() {
        return 0;
    }
    limits.keepalive.requests.get().saturating_sub(served + 1)
}

/// Reads the next header: `wait` until its first byte, then all of it within the header's own time.
async fn next_head(
    stream: &mut EdgeStream,
    listener: &Listener,
    wait: Duration,
    drain: &mut ShutdownWatch,
) -> io::Result<Next> {
    let limits = head_limits(listener);
    let mut scan = HeadScan::default();
    if stream.inbound().is_empty() && !arrives(stream, wait, drain).await? {
        return Ok(Next::End);
    }
    skip_empty_line(stream);
    match scan.advance(stream.inbound(), &limits) {
        Ok(Some(head)) => return Ok(Next::Head(head)),
        Ok(None) => {}
        Err(cause) => return Ok(Next::Refused(cause)),
    }
    let rest = read_rest(stream, &mut scan, &limits);
    match timeout_at(Instant::now() + listener.limits.header.timeout.get(), rest).await {
        Ok(next) => next,
        Err(_) => Ok(Next::Refused(Cause::HeaderTimeout)),
    }
}

/// Waits for the first bytes; false when there will be none.
async fn arrives(stream: &mut EdgeStream, wait: Duration, drain: &mut ShutdownWatch) -> io::Result<bool> {
    tokio::select! {
        biased;
        arrived = timeout(wait, stream.readable()) => match arrived {
            Ok(readable) => readable?,
            Err(_) => return Ok(false),
        },
        _ = drain.wait_for(|draining| *draining) => return Ok(false),
    }
    Ok(stream.read_ahead().await? > 0)
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

/// Some clients send a line end after a body; one is skipped (RFC 9112 §2.2).
fn skip_empty_line(stream: &mut EdgeStream) {
    if stream.inbound().starts_with(b"\r\n") {
        stream.skip(2);
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
