//! HTTP/2 connections: a loop of our own on the h2 crate, a guard on the bytes below it, and a session for each request
//! above it ([`session`]).
//!
//! The h2 crate bounds what a connection keeps in memory. What it does not bound is how often a client may have it do
//! something for nothing; that is counted frame by frame ([`meter`]) while the bytes pass ([`guard`]).

mod frames;
mod guard;
mod meter;
mod running;
#[cfg(test)]
mod samples;
mod session;

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::{Digest, GetProxyDigest};
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::gateway::HttpApp;
use crate::runtime::{Cause, Connection, Listener, Stage, StageWatch};
use crate::telemetry::AccessLog;

use self::guard::Verdict;
use self::meter::{Abuse, Meter};
use self::running::Running;
use self::session::Session;
use super::cut;
use super::refusal::{note_refusal, refusal};
use super::serve::PREFACE;
use super::stream::EdgeStream;

pub(super) use self::guard::Guard;

/// So many requests of a connection may be malformed before it is closed.
const MALFORMED: usize = 32;
/// How long the last words of a connection may take to leave, and its client to hear them.
const GOODBYE: Duration = Duration::from_secs(5);

type H2Connection = h2::server::Connection<Box<EdgeStream>, Bytes>;
type Accepted = Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

/// Serves the requests of an HTTP/2 connection side by side until either side has enough.
pub(super) async fn serve(app: &Arc<HttpApp>, mut stream: Box<EdgeStream>, log: &AccessLog) {
    let client = stream.connection().clone();
    let listener = client.listener();
    let limits = &listener.limits;
    let digest = Arc::new(Digest { proxy_digest: stream.get_proxy_digest(), ..Digest::default() });
    let header = limits.header.size.as_usize();
    let meter = Meter::new(PREFACE.len(), listener.h2_streams, header, Instant::now());
    let (guard, verdict) = Guard::new(meter, limits.header.timeout.get());
    stream.open(guard);
    let greeting = options(listener).handshake(stream);
    let Ok(Ok(mut connection)) = timeout(limits.header.timeout.get(), greeting).await else { return };

    let running = Running::new(2 * listener.h2_streams as usize);
    let requests = Requests { app, digest, running, client: &client, log };
    let reason = match requests.serve(&mut connection, listener, &verdict).await {
        End::Over => return,
        End::Rest => Reason::NO_ERROR,
        End::Abuse(abuse) => {
            report(&client, abuse, log);
            Reason::ENHANCE_YOUR_CALM
        }
    };
    connection.abrupt_shutdown(reason);
    // Whatever runs for the client ends now: its streams fail.
    let goodbye = async { while let Some(Ok(_)) = connection.accept().await {} };
    let _ = timeout(GOODBYE, goodbye).await;
}

/// Why no more requests are accepted on a connection.
enum End {
    /// It is closed.
    Over,
    /// Nothing has run for a while.
    Rest,
    /// The client went too far.
    Abuse(Abuse),
}

/// What the requests of a connection have in common.
struct Requests<'a> {
    app: &'a Arc<HttpApp>,
    digest: Arc<Digest>,
    running: Arc<Running>,
    client: &'a Connection,
    log: &'a AccessLog,
}

impl Requests<'_> {
    async fn serve(&self, connection: &mut H2Connection, listener: &Listener, verdict: &Verdict) -> End {
        let keepalive = &listener.limits.keepalive;
        let ending = self.client.ending();
        let old = async {
            tokio::select! {
                () = ending.reached(Stage::Leaving) => {}
                () = sleep(keepalive.age.get()) => {}
                () = verdict.worn() => {}
            }
        };
        tokio::pin!(old);
        let mut malformed = 0;
        let mut is_ending = false;
        loop {
            // A client that has been sent off, but does not say that it heard so, is not waited for as long.
            let idle = if is_ending { GOODBYE.min(keepalive.idle.get()) } else { keepalive.idle.get() };
            let accepted = tokio::select! {
                biased;
                abuse = verdict.abused() => return End::Abuse(abuse),
                () = &mut old, if !is_ending => {
                    is_ending = true;
                    connection.graceful_shutdown();
                    continue;
                }
                accepted = self.next(connection) => accepted,
                () = self.running.rests_for(idle) => return End::Rest,
            };
            match accepted {
                Some(Ok((request, answer))) => {
                    let ending = self.client.ending();
                    let session =
                        Session::new(request, answer, self.digest.clone(), self.running.begin(), ending);
                    if !session.is_malformed() {
                        self.spawn(session);
                        continue;
                    }
                    self.refuse(session);
                    malformed += 1;
                    if malformed >= MALFORMED {
                        return End::Abuse(Abuse::Malformed);
                    }
                }
                Some(Err(error)) if was_too_much(&error) => return End::Abuse(Abuse::Library),
                None | Some(Err(_)) => return End::Over,
            }
        }
    }

    /// The next request. None is begun while twice as many run as the client may have streams; then it is only read
    /// and written for those that run. The h2 crate keeps the others, and ends the connection when too many of them
    /// are reset before they are looked at.
    async fn next(&self, connection: &mut H2Connection) -> Accepted {
        if self.running.is_full() {
            tokio::select! {
                biased;
                () = self.running.has_room() => {}
                // The end shows again below.
                _ = poll_fn(|cx| connection.poll_closed(cx)) => {}
            }
        }
        connection.accept().await
    }

    fn spawn(&self, mut session: Session) {
        // A request that was reset while it waited costs nothing more.
        if session.is_gone() {
            return;
        }
        let (app, ending) = (self.app.clone(), self.client.ending().clone());
        tokio::spawn(async move {
            let (abandonment, end) = (session.abandonment(), session.end());
            let (leaving, mut stages) = (ending.leaving(), StageWatch::new(&ending));
            // HTTP/2 streams are never used again, so there is nothing to take back.
            let served = app.serve(ServerSession::new_custom(Box::new(session)), &leaving);
            let served = cut::serve(&mut stages, &end, served);
            match abandonment {
                None => drop(served.await),
                Some(abandonment) => tokio::select! {
                    biased;
                    _ = served => {}
                    () = abandonment => {}
                },
            }
        });
    }

    /// Answers what two servers could read in two ways; the gateway never sees it.
    fn refuse(&self, session: Session) {
        let cause = Cause::BadRequest;
        let answer = refusal(self.app, self.client, &cause, session.request_headers());
        let size = session.refuse(answer);
        note_refusal(self.client, "HTTP/2", &cause, size, self.log);
    }
}

/// Whether the h2 crate itself has ended the connection because of what the client did.
fn was_too_much(error: &h2::Error) -> bool {
    error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM)
}

fn report(client: &Connection, abuse: Abuse, log: &AccessLog) {
    log::debug!(
        "http2 connection cut listener={} peer={} abuse={abuse:?}",
        client.listener().name,
        client.peer_ip()
    );
    let cause = match abuse {
        Abuse::SlowHeader => Cause::HeaderTimeout,
        _ => Cause::Http2Abuse,
    };
    note_refusal(client, "HTTP/2", &cause, 0, log);
}

fn options(listener: &Listener) -> Builder {
    /// The smallest that HTTP/2 allows, and its default.
    const FRAME: u32 = 16 * 1024;
    const STREAM_WINDOW: u32 = 64 * 1024;
    const CONNECTION_WINDOW: u32 = 1024 * 1024;
    /// What a stream may have waiting for a client that opens its windows and then takes nothing.
    const SEND_BUFFER: usize = 64 * 1024;
    /// Resets that a client may provoke in the life of a connection (CVE-2025-8671): Sōzu's figure.
    const PROVOKED_RESETS: usize = 500;

    let streams = listener.h2_streams as usize;
    let header = u32::try_from(listener.limits.header.size.bytes()).unwrap_or(u32::MAX);
    let mut options = Builder::new();
    options
        .max_concurrent_streams(listener.h2_streams)
        .max_header_list_size(header)
        .max_frame_size(FRAME)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        // All streams may end in one go, by either side, and late frames for them are no error.
        .max_concurrent_reset_streams(streams)
        .max_pending_accept_reset_streams(streams)
        .max_local_error_reset_streams(Some(PROVOKED_RESETS));
    options
}
