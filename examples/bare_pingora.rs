//! The smallest sensible proxy on bare Pingora: what Evener is measured against by `make bench-peers`.
//!
//! It does the work that Evener does for a plain HTTP route, and nothing else: two endpoints in turn
//! (`pingora-load-balancing`, with a TCP health check), connections kept alive on both sides, the forwarded headers,
//! a request id. One worker thread, mimalloc, Pingora's default buffers, no compression or cache module, no
//! configuration file, no access log. What Evener costs beyond this is the price of Evener.
//!
//! ```text
//! bare_pingora 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002
//! ```
//!
//! The first address is listened on, the others are the endpoints.

use std::{process::ExitCode, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::header::{HOST, HeaderName, HeaderValue, VIA};
use pingora::{
    lb::{LoadBalancer, health_check::TcpHealthCheck, selection::RoundRobin},
    modules::http::HttpModules,
    prelude::{
        Error, ErrorType, HttpPeer, ProxyHttp, RequestHeader, Result, Server, Session, http_proxy_service,
    },
    server::configuration::ServerConf,
    services::background::background_service,
};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Idle connections that are kept to the endpoints, as many as Evener and the other peers keep.
const UPSTREAM_KEEPALIVE: usize = 128;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

struct Bare {
    endpoints: Arc<LoadBalancer<RoundRobin>>,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    /// Leaves out the compression module, which Pingora adds by default.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        let endpoint = self.endpoints.select(b"", 4).ok_or_else(|| Error::new(ErrorType::ConnectNoRoute))?;
        Ok(Box::new(HttpPeer::new(endpoint, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        _ctx: &mut Self::CTX,
    ) -> Result<()> {
        let client = session.client_addr().and_then(|address| address.as_inet()).map(|inet| inet.ip());
        let client = client.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        let host = upstream_request.headers.get(HOST).cloned();
        upstream_request.insert_header(X_FORWARDED_FOR, client.as_str())?;
        upstream_request.insert_header(X_REAL_IP, client.as_str())?;
        upstream_request.insert_header(X_FORWARDED_PROTO, HeaderValue::from_static("http"))?;
        if let Some(host) = host {
            upstream_request.insert_header(X_FORWARDED_HOST, host)?;
        }
        let id = Uuid::now_v7();
        upstream_request
            .insert_header(X_REQUEST_ID, &*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))?;
        upstream_request.append_header(VIA, HeaderValue::from_static("1.1 bare"))?;
        Ok(())
    }
}

fn server_conf() -> ServerConf {
    ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: UPSTREAM_KEEPALIVE,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

fn run(listen: &str, endpoints: &[String]) -> std::io::Result<()> {
    let mut server = Server::new_with_opt_and_conf(None, server_conf());
    server.bootstrap();

    let mut balancer = LoadBalancer::try_from_iter(endpoints)?;
    balancer.set_health_check(TcpHealthCheck::new());
    balancer.health_check_frequency = Some(Duration::from_secs(5));
    let health = background_service("health", balancer);

    let mut proxy = http_proxy_service(&server.configuration, Bare { endpoints: health.task() });
    proxy.add_tcp(listen);
    server.add_service(proxy);
    server.add_service(health);
    server.run_forever()
}

fn main() -> ExitCode {
    env_logger::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, endpoints @ ..] = arguments.as_slice() else {
        eprintln!("usage: bare_pingora LISTEN ENDPOINT...");
        return ExitCode::from(64);
    };
    match run(listen, endpoints) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot use endpoints {endpoints:?}: {error}");
            ExitCode::FAILURE
        }
    }
}
