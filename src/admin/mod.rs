//! What those who look after the process are told over HTTP: counts for Prometheus, and whether it is well for balancers
//! and supervisors.
//!
//! Everything is worked out of what runs when somebody asks. Whoever may connect may read: the edge lets nobody in whom
//! the configuration does not name ([`Listener::admits`](crate::runtime::Listener::admits)), and [`guard`] refuses what
//! a browser was led here to ask.

mod api;
mod caller;
mod dashboard;
mod guard;
mod health;
mod json;
mod patience;
mod problem;
mod scrape;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use crate::metrics::Metrics;
use crate::net::Transport;
use crate::runtime::{AdminService, Control, Ending, Stage, Via};

use caller::Caller;
use patience::Patient;
use problem::Problem;
use stream::{Feed, Listeners};

/// Answers those who look after the process.
pub(crate) struct Admin {
    control: Arc<Control>,
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
}

/// How long a header may take, and how long a connection may rest between two requests.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// The largest header.
const HEADER_SIZE: usize = 32 << 10;
/// How long a client may take nothing of its answer.
const SEND_IDLE: Duration = Duration::from_secs(10);

impl Admin {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        let (api, document) = api::router();
        let sight = Sight {
            control: control.clone(),
            metrics: Metrics::new(control.clone()),
            feed: Arc::default(),
            listeners: Listeners::default(),
            document,
        };
        let router = Router::new()
            .route("/metrics", get(scrape::metrics))
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .merge(api)
            .merge(dashboard::routes())
            .fallback(async || UNKNOWN)
            .method_not_allowed_fallback(async || READ_ONLY)
            .with_state(Arc::new(sight));
        Self { control, router: TowerToHyperService::new(router) }
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        via: Via,
        ending: &Ending,
    ) -> Result<Response, Infallible> {
        request.extensions_mut().insert(Caller::of(via));
        request.extensions_mut().insert(ending.clone());
        let mut response = if self.is_asked_for_itself(&request, via) {
            self.router.call(request).await?
        } else {
            STRANGE_HOST.into_response()
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
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
    async fn serve(&self, transport: Transport, via: Via, ending: Ending) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_LIMIT)
            .max_buf_size(HEADER_SIZE)
            .serve_connection(
                TokioIo::new(Patient::new(transport, SEND_IDLE)),
                service_fn(|request| self.answer(request, via, &ending)),
            );
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

const UNKNOWN: Problem = Problem::new(
    StatusCode::NOT_FOUND,
    "there is nothing at this path",
    "ask for / in a browser, for /metrics, /healthz, /readyz, or for what /v1/openapi.json tells of",
);

const READ_ONLY: Problem =
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path can only be read", "use GET or HEAD");

const STRANGE_HOST: Problem = Problem::new(
    StatusCode::MISDIRECTED_REQUEST,
    "the process is not known by this host",
    "ask for it by an IP address or as localhost, or name the host in admin.hosts",
);

#[cfg(test)]
mod tests;
