use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{
    H2Accept, H2Options, HttpSession, default_h2_options, handshake,
};
use pingora_core::protocols::{Digest, GetProxyDigest};
use pingora_core::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::{Duration, sleep, timeout};

use crate::runtime::Listener;

use super::stream::EdgeStream;

/// So many requests of a connection may be malformed before it is closed.
const MALFORMED: usize = 32;

/// The requests of a connection that are being served.
#[derive(Debug, Default)]
struct Running {
    count: AtomicUsize,
    ended: Notify,
}

/// One of them, counted until this is dropped.
struct Run(Arc<Running>);

impl Running {
    fn begin(self: &Arc<Self>) -> Run {
        self.count.fetch_add(1, Ordering::AcqRel);
        Run(self.clone())
    }

    /// Resolves once nothing has run for `idle`. Dropped and made anew with every accepted request.
    async fn rests_for(&self, idle: Duration) {
        while self.count.load(Ordering::Acquire) > 0 {
            self.ended.notified().await;
        }
        sleep(idle).await;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_one();
        }
    }
}

/// Serves the requests of an HTTP/2 connection side by side until either side has enough.
pub(super) async fn serve<A>(app: &Arc<A>, mut stream: Box<EdgeStream>, mut drain: ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let listener = stream.connection().listener().clone();
    let digest = Arc::new(Digest { proxy_digest: stream.get_proxy_digest(), ..Digest::default() });
    stream.open();
    let limits = &listener.limits;
    let greeting = handshake(stream, Some(options(&listener)));
    let Ok(Ok(mut connection)) = timeout(limits.header.timeout.get(), greeting).await else { return };

    let running = Arc::new(Running::default());
    let age = sleep(limits.keepalive.age.get());
    tokio::pin!(age);
    let mut malformed = 0;
    let mut is_ending = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = drain.wait_for(|draining| *draining), if !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
                continue;
            }
            () = &mut age, if !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, digest.clone()) => accepted,
            () = running.rests_for(limits.keepalive.idle.get()) => return,
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => spawn(app, session, running.begin(), &drain),
            Ok(Some(H2Accept::Rejected)) => {
                malformed += 1;
                if malformed >= MALFORMED {
                    return;
                }
            }
            Ok(None) | Err(_) => return,
        }
    }
}

fn options(listener: &Listener) -> H2Options {
    const STREAM_WINDOW: u32 = 64 * 1024;
    const CONNECTION_WINDOW: u32 = 1024 * 1024;

    let mut options = default_h2_options();
    let header = u32::try_from(listener.limits.header.size.bytes()).unwrap_or(u32::MAX);
    options
        .max_concurrent_streams(listener.h2_streams)
        .max_header_list_size(header)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    options
}

fn spawn<A>(app: &Arc<A>, session: HttpSession, run: Run, drain: &ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let (app, drain) = (app.clone(), drain.clone());
    tokio::spawn(async move {
        let _run = run;
        // HTTP/2 streams are never used again, so there is nothing to take back.
        let _ = app.process_new_http(ServerSession::new_http2(session), &drain).await;
    });
}
