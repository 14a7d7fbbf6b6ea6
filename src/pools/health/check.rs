use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::{Error, ErrorType};
use pingora_http::ResponseHeader;
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::{HealthCheck, HealthObserve, HttpHealthCheck, TcpHealthCheck};
use tokio::time::Instant;

use crate::config::spec::{HttpCheckSpec, StatusRange};
use crate::config::{self, Check};
use crate::pools::endpoint::pingora_addr;
use crate::pools::{Endpoint, Health, Pool};
use crate::types::EndpointAddr;

/// Carries a flip from Pingora's side to the pool.
struct Flip {
    pool: Arc<Pool>,
    endpoint: Arc<Endpoint>,
}

#[async_trait]
impl HealthObserve for Flip {
    async fn observe(&self, _: &Backend, healthy: bool) {
        let health = if healthy { Health::Fit } else { Health::Unfit { is_reachable: true } };
        self.pool.set_health(&self.endpoint, health, Instant::now());
    }
}

/// The check of one endpoint, with the endpoint in Pingora's form.
pub(super) fn build(
    health: &config::Health,
    pool: &Arc<Pool>,
    endpoint: &Arc<Endpoint>,
) -> (Box<dyn HealthCheck + Send + Sync>, Backend) {
    let mut addr = pingora_addr(endpoint.address());
    if let (Some(port), PingoraAddr::Inet(_)) = (health.port, &addr) {
        addr.set_port(port);
    }
    let backend = Backend { addr, weight: usize::from(endpoint.weight()), ext: http::Extensions::new() };
    let flip = Box::new(Flip { pool: pool.clone(), endpoint: endpoint.clone() });
    let check: Box<dyn HealthCheck + Send + Sync> = match &health.check {
        Check::Tcp => Box::new(tcp(health, flip)),
        Check::Http(spec) => Box::new(http(health, spec, endpoint.address(), flip)),
    };
    (check, backend)
}

fn tcp(health: &config::Health, flip: Box<Flip>) -> TcpHealthCheck {
    let mut check = *TcpHealthCheck::new();
    check.consecutive_success = usize::from(health.rise);
    check.consecutive_failure = usize::from(health.fall);
    check.peer_template.options.connection_timeout = Some(health.timeout.get());
    check.health_changed_callback = Some(flip);
    check
}

fn http(
    health: &config::Health,
    spec: &HttpCheckSpec,
    address: &EndpointAddr,
    flip: Box<Flip>,
) -> HttpHealthCheck {
    let host = match (&spec.host, address) {
        (Some(host), _) => host.to_string(),
        (None, EndpointAddr::Inet(inet)) => inet.to_string(),
        (None, EndpointAddr::Unix(_)) => "localhost".to_owned(),
    };
    let mut check = HttpHealthCheck::new(&host, false);
    check.consecutive_success = usize::from(health.rise);
    check.consecutive_failure = usize::from(health.fall);
    check.peer_template.options.connection_timeout = Some(health.timeout.get());
    check.peer_template.options.read_timeout = Some(health.timeout.get());
    check.peer_template.options.write_timeout = Some(health.timeout.get());
    // The path was checked when the file was read.
    if let Ok(uri) = spec.path.parse() {
        check.req.set_uri(uri);
    }
    let _ = check.req.insert_header(http::header::USER_AGENT, "evener-health-check");
    let expected = spec.expect.clone();
    check.validator = Some(Box::new(move |response| expect(&expected, response)));
    check.health_changed_callback = Some(flip);
    check
}

fn expect(expected: &[StatusRange], response: &ResponseHeader) -> pingora_core::Result<()> {
    let status = response.status.as_u16();
    if expected.iter().any(|range| range.contains(status)) {
        return Ok(());
    }
    Error::e_explain(ErrorType::HTTPStatus(status), "a status that was not expected")
}
