//! What those who look after the process are told over HTTP, and may change: counts for Prometheus, whether it is well for
//! balancers and supervisors, and the API.
//!
//! Everything is worked out of what runs when somebody asks. The edge lets nobody in whom the configuration does not name
//! ([`Listener::admits`](crate::runtime::Listener::admits)), [`heads`] lets through what means one thing only, [`guard`] refuses
//! what a browser was led here to ask, and [`gate`] lets everybody do what they may: read, unless that needs a token, and
//! change things by a token only. [`told`] and [`patience`] note whether a connection waits for its client, which then may have
//! to make room for others.

mod api;
mod caller;
mod dashboard;
mod gate;
mod guard;
mod guesses;
mod heads;
mod health;
mod json;
mod patience;
mod problem;
mod refusals;
mod scrape;
mod stream;
mod told;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONNECTION, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{join, split};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::net::Transport;
use crate::runtime::{AdminService, Control, Ending, Stage, Via, Waiting};
use crate::telemetry::AccessLog;

use gate::Gate;
use heads::Heads;
use patience::Patient;
use problem::Problem;
use stream::{Connection, Feed, Listeners};
use told::Told;

/// Answers those who look after the process.
pub(crate) struct Admin {
    control: Arc<Control>,
    gate: Gate,
    router: TowerToHyperService<Router>,
}

/// What there is to look at.
struct Sight {
    control: Arc<Control>,
    metrics: Metrics,
    feed: Arc<Feed>,
    listeners: Listeners,
    /// What the API is, by OpenAPI.
    document: String,
    /// Places for changes that take some time, so that they leave connections for those who look.
    long_work: Semaphore,
}

/// So many may wait for such changes at once.
const MOST_LONG_WORK: usize = 8;

/// How long a header may take, and how long a connection may rest between two requests.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// The largest header.
const HEADER_SIZE: usize = 32 << 10;
/// How long a client may take nothing of its answer.
const SEND_IDLE: Duration = Duration::from_secs(10);

impl Admin {
    pub(crate) fn new(control: Arc<Control>, log: Arc<AccessLog>) -> Self {
        let (api, document) = api::router();
        let sight = Arc::new(Sight {
            control: control.clone(),
            metrics: Metrics::new(control.clone(), log),
            feed: Arc::default(),
            listeners: Listeners::default(),
            document,
            long_work: Semaphore::new(MOST_LONG_WORK),
        });
        let router = Router::new()
            .route("/metrics", get(scrape::metrics))
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .merge(api)
            .merge(dashboard::routes())
            .fallback(async || UNKNOWN)
            .method_not_allowed_fallback(async || OTHER_METHOD)
            .layer(from_fn_with_state(sight.clone(), refusals::note))
            .with_state(sight);
        Self { gate: Gate::new(control.clone()), control, router: TowerToHyperService::new(router) }
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        via: Via,
        ending: &Ending,
    ) -> Result<Response, Infallible> {
        request.extensions_mut().insert(Connection { via, ending: ending.clone() });
        // What follows a body in chunks is not looked at.
        let is_last = request.headers().contains_key(TRANSFER_ENCODING);
        let mut response = if !guard::is_sound(&request) {
            closing(MALFORMED.into_response())
        } else if !self.is_asked_for_itself(&request, via) {
            STRANGE_HOST.into_response()
        } else {
            match self.gate.admit(&request, via, Instant::now()) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    self.router.call(request).await?
                }
                Err(refusal) => refusal.into_response(),
            }
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        Ok(if is_last { closing(response) } else { response })
    }

    /// No browser comes over the control socket, whatever it is made to believe.
    fn is_asked_for_itself(&self, request: &Request<Incoming>, via: Via) -> bool {
        let snapshot = self.control.live().snapshot();
        let hosts = snapshot.admin.as_ref().map_or(&[][..], |admin| &admin.hosts);
        matches!(via, Via::ControlSocket { .. }) || guard::is_asked_for_itself(request, hosts)
    }
}

#[async_trait]
impl AdminService for Admin {
    async fn serve(&self, transport: Transport, via: Via, ending: Ending, waiting: Arc<Waiting>) {
        let (from, to) = split(transport);
        let (from, to) = (Heads::new(from, HEADER_SIZE), Patient::new(to, SEND_IDLE, waiting.clone()));
        let answer = async |mut request: Request<Incoming>| {
            waiting.note_request();
            request.extensions_mut().insert(waiting.clone());
            let response = self.answer(request, via, &ending).await?;
            Ok::<_, Infallible>(response.map(|body| Told::new(body, waiting.clone())))
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_LIMIT)
            .max_buf_size(HEADER_SIZE)
            .serve_connection(TokioIo::new(join(from, to)), service_fn(answer));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = ending.reached(Stage::Draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            log::debug!("connection of admin ended error=\"{error}\"");
        }
    }
}

/// The same as the last answer of its connection.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const MALFORMED: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "the request does not say which host it asks, or for what",
    "send one `Host`, and a target that begins with / or http://",
);

const UNKNOWN: Problem = Problem::new(
    StatusCode::NOT_FOUND,
    "there is nothing at this path",
    "ask for / in a browser, for /metrics, /healthz, /readyz, or for what /v1/openapi.json tells of",
);

const OTHER_METHOD: Problem = Problem::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "this path does not know this method",
    "`Allow` and /v1/openapi.json tell which it knows",
);

const STRANGE_HOST: Problem = Problem::new(
    StatusCode::MISDIRECTED_REQUEST,
    "the process is not known by this host",
    "ask for it by an IP address or as localhost, or name the host in admin.hosts",
);

#[cfg(test)]
mod tests;
