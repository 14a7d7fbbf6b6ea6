//! TCP and UDP for pools that do not speak HTTP.

mod flow_line;
mod relay;
mod tcp;
mod udp;

use std::sync::Arc;

use crate::runtime::{Listener, Live};
use crate::telemetry::AccessLog;

use tcp::TcpProxy;
use udp::UdpSettings;

pub(crate) use tcp::Arrival;
pub(crate) use udp::UdpProxy;

/// Passes on what listeners do not understand.
#[derive(Debug)]
pub(crate) struct Layer4 {
    live: Arc<Live>,
    log: Arc<AccessLog>,
    tcp: TcpProxy,
}

impl Layer4 {
    pub(crate) fn new(live: Arc<Live>, log: Arc<AccessLog>) -> Self {
        Self { tcp: TcpProxy::new(live.clone(), log.clone()), live, log }
    }

    /// Passes a connection on, to its end.
    pub(crate) async fn pass(&self, arrival: Arrival) {
        self.tcp.pass(arrival).await;
    }

    /// What passes the datagrams of a listener on; `None` if it is none for them.
    pub(crate) fn datagrams(&self, listener: &Listener) -> Option<Arc<UdpProxy>> {
        let service = listener.udp()?;
        let pool = self.live.snapshot().pools.get(service.pool.0)?.clone();
        let settings = UdpSettings { idle: service.idle, flows: service.flows, responses: service.responses };
        let (log, name) = (self.log.clone(), listener.name.clone());
        let pool_name = pool.name().clone();
        let on_end = move |end: &_| flow_line::write(end, &name, &pool_name, &log);
        Some(UdpProxy::new(listener.name.clone(), pool, settings, Box::new(on_end)))
    }
}
