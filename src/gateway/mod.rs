//! HTTP: from a request's header to its response's last byte, as an implementation of Pingora's `ProxyHttp`.
//!
//! Each hook of Pingora delegates to the file that is named after its job: [`admit`] decides what a request is
//! and whether it is sound, [`chain`] runs the route's filters, [`early`] reads bodies for them, [`split`] chooses among pools
//! and [`upstream`] among endpoints, [`hedge`] asks two of them, [`clock`] and [`deadline`] keep the time, [`pause`] makes up for the pauses of filters,
//! [`retry`] decides whether another endpoint follows, [`proxy_header`] tells endpoints whose connection it is, [`forward`]
//! makes the request that they see, [`relay`] the response that clients see,
//! [`cache`] answers from what is stored, [`reply`] makes answers at the edge and [`serve`] writes them, and [`record`] the
//! access log. [`recording`] is what somebody who wants to understand a request is told of it. [`direct`] does without Pingora what can be done without it.

mod admit;
mod cache;
mod chain;
mod clock;
mod cork;
mod cx;
mod deadline;
mod direct;
mod downstream;
mod early;
mod failure;
mod forward;
mod grpc;
mod hedge;
mod pause;
mod proxy_header;
mod record;
mod recording;
mod relay;
mod reply;
mod retry;
mod serve;
mod spans;
mod split;
mod stored;
mod trace;
mod trailers;
mod upstream;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora_cache::key::HashBinary;
use pingora_cache::{CacheKey, CacheMeta, ForcedFreshness, HitHandler, RespCacheable};
use pingora_core::apps::{HttpServerApp, ReusedHttpStream};
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, RangeType, Session, http_proxy};
use tokio::time::Instant;

use crate::runtime::{Cause, Live, Snapshot};
use crate::telemetry::AccessLog;

use cx::RequestCx;
pub(crate) use direct::Answered;
use direct::Parked;
use downstream::Downstream;
pub(crate) use retry::MAX_ATTEMPTS;

/// Serves HTTP by the snapshot that is live when a request begins.
#[derive(Clone, Debug)]
struct Gateway {
    live: Arc<Live>,
    log: Arc<AccessLog>,
}

/// Whom the edge hands requests to: the gateway inside of Pingora's proxy, and by itself for what needs no endpoint.
pub(crate) struct HttpApp {
    proxy: Arc<HttpProxy<Gateway>>,
    gateway: Gateway,
}

impl HttpApp {
    pub(crate) fn new(conf: &Arc<ServerConf>, live: Arc<Live>, log: Arc<AccessLog>) -> Arc<Self> {
        let gateway = Gateway { live, log };
        let mut proxy = http_proxy(conf, gateway.clone());
        let mut options = pingora_core::apps::HttpServerOptions::default();
        // So that CONNECT gets its 405 from the gateway, like every method that is not served.
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        Arc::new(Self { proxy: Arc::new(proxy), gateway })
    }

    /// Serves the next request of a session of Pingora's; what comes back may be used again.
    pub(crate) fn serve<'a>(
        &'a self,
        session: ServerSession,
        leaving: &'a ShutdownWatch,
    ) -> impl Future<Output = Option<ReusedHttpStream>> + Send + 'a {
        self.proxy.process_new_http(session, leaving)
    }

    /// What is served at this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.gateway.live.snapshot()
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed, since Pingora moves it from future to future.
    type CTX = Box<RequestCx>;

    fn new_ctx(&self) -> Box<RequestCx> {
        Box::new(RequestCx::new(self.live.snapshot(), Instant::now()))
    }

    /// None: Pingora's compression would be built for every request only to stay off.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, cx: &mut Box<RequestCx>) -> Result<()> {
        if let Some(parked) = session.connection().and_then(|connection| connection.take_parked())
            && let Ok(parked) = parked.downcast::<Parked>()
        {
            parked.resume(session.req_header_mut(), cx)?;
        }
        admit::set_limits(session, cx)
    }

    async fn request_filter(&self, session: &mut Session, cx: &mut Box<RequestCx>) -> Result<bool> {
        if !cx.is_admitted {
            let flow = admit::admit(session, cx).await.map_err(|cause| cx.fail(cause))?;
            if reply::follow(session, cx, flow).await? {
                return Ok(true);
            }
        }
        if cx.has_waited && downstream::has_gone(session) {
            return Err(cx.fail(Cause::ClientGone));
        }
        Ok(false)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        cx: &mut Box<RequestCx>,
    ) -> Result<()> {
        admit::admit_body(session, body, end, cx).await
    }

    fn request_cache_filter(&self, session: &mut Session, cx: &mut Box<RequestCx>) -> Result<()> {
        cache::enable(session, cx);
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, cx: &mut Box<RequestCx>) -> Result<CacheKey> {
        cache::key(session, cx).ok_or_else(|| cx.fail(Cause::Internal))
    }

    async fn cache_hit_filter(
        &self,
        session: &mut Session,
        meta: &CacheMeta,
        _: &mut HitHandler,
        is_fresh: bool,
        cx: &mut Box<RequestCx>,
    ) -> Result<Option<ForcedFreshness>> {
        Ok(cache::on_find(session, meta, is_fresh, cx))
    }

    fn cache_miss(&self, session: &mut Session, cx: &mut Box<RequestCx>) {
        cache::on_miss(session, cx);
    }

    fn cache_vary_filter(
        &self,
        meta: &CacheMeta,
        cx: &mut Box<RequestCx>,
        request: &RequestHeader,
    ) -> Option<HashBinary> {
        cache::variance(meta, cx, request)
    }

    async fn proxy_upstream_filter(&self, session: &mut Session, cx: &mut Box<RequestCx>) -> Result<bool> {
        match cache::reserve(session, cx).await {
            Ok(()) => Ok(true),
            Err(cause) => Err(cx.fail(cause)),
        }
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        cx: &mut Box<RequestCx>,
    ) -> Result<RespCacheable> {
        Ok(cache::judge(session, response, cx))
    }

    fn cache_not_modified_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        _: &mut Box<RequestCx>,
    ) -> Result<bool> {
        Ok(cache::is_not_modified(session, response))
    }

    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _: &mut Box<RequestCx>,
    ) -> RangeType {
        cache::range(session, response)
    }

    fn should_serve_stale(
        &self,
        session: &mut Session,
        cx: &mut Box<RequestCx>,
        error: Option<&Error>,
    ) -> bool {
        cache::serves_stale(session, cx, error)
    }

    async fn upstream_peer(&self, session: &mut Session, cx: &mut Box<RequestCx>) -> Result<Box<HttpPeer>> {
        if let Some(cause) = cx.cache.as_mut().and_then(|cache| cache.unreserved.take()) {
            return Err(cx.fail(cause));
        }
        let mut peer = upstream::choose(session, cx).await?;
        proxy_header::prepend(session, cx, &mut peer);
        hedge::put(session, cx, &mut peer);
        Ok(peer)
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        cx: &mut Box<RequestCx>,
        error: Box<Error>,
    ) -> Box<Error> {
        retry::after_connect_failure(cx, error)
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        is_reused: bool,
        _: &HttpPeer,
        fd: RawFd,
        _: Option<&Digest>,
        cx: &mut Box<RequestCx>,
    ) -> Result<()> {
        upstream::connected(cx, fd, is_reused);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        cx: &mut Box<RequestCx>,
    ) -> Result<()> {
        cache::begin_attempt(session, request, cx);
        forward::prepare(session, request, cx).await?;
        cache::note_request(session, request, cx);
        if cx.clock.is_some() && !session.is_body_done() {
            cx.unfinished = record::Unfinished::new(session, &self.log, cx);
        }
        if hedge::start(session, request, cx).is_none() {
            return Err(cx.fail(Cause::HeaderTooLarge));
        }
        forward::ask_for_body(session, request).await
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        cx: &mut Box<RequestCx>,
    ) -> Result<()> {
        relay::take(session, response, cx)
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        cx: &mut Box<RequestCx>,
    ) -> Result<Option<Duration>> {
        cx.note_received(body.as_ref().map_or(0, Bytes::len));
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        cx: &mut Box<RequestCx>,
    ) -> Result<()> {
        relay::hand_on(session, response, cx).await
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        cx: &mut Box<RequestCx>,
    ) -> Result<Option<Duration>> {
        // Pingora would wait for a pause with all that it has not written yet, and deaf to the end of the process.
        relay::hand_on_body(session, body, end, cx).map(|()| None)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        cx: &mut Box<RequestCx>,
    ) -> Result<Option<Bytes>> {
        let last = grpc::hand_on_trailers(trailers, cx);
        trailers::hand_on(session, trailers, last.is_some());
        Ok(last)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        cx: &mut Box<RequestCx>,
        reused: bool,
    ) -> Box<Error> {
        retry::after_failure(session, cx, error, reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        cx: &mut Box<RequestCx>,
    ) -> FailToProxy {
        reply::fail(session, error, cx).await
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, cx: &mut Box<RequestCx>) {
        record::finish(session, cx, &self.log);
    }

    /// The access log tells every failure, with its cause.
    fn suppress_error_log(&self, _: &Session, _: &Box<RequestCx>, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Box<RequestCx>,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}
