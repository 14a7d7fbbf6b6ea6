//! TCP and UDP for pools that do not speak HTTP.

mod flow_line;
mod relay;
mod tcp;
mod udp;

use std::sync::Arc;

use crate::pools::Pool;
use crate::runtime::{Listener, Live, Snapshot};
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
    /// So many sockets may all flows of datagrams have.
    flow_sockets: usize,
}

impl Layer4 {
    pub(crate) fn new(live: Arc<Live>, log: Arc<AccessLog>, flow_sockets: usize) -> Self {
        Self { tcp: TcpProxy::new(live.clone(), log.clone()), live, log, flow_sockets }
    }

    /// Passes a connection on, to its end.
    pub(crate) async fn pass(&self, arrival: Arrival) {
        self.tcp.pass(arrival).await;
    }

    /// What passes the datagrams of a listener on; `None` if it is none for them.
    pub(crate) fn datagrams(&self, listener: &Listener) -> Option<Arc<UdpProxy>> {
        let (pool, settings) = self.service(listener)?;
        let (log, name) = (self.log.clone(), listener.name.clone());
        let on_end = move |end: &_| flow_line::write(end, &name, &log);
        Some(UdpProxy::new(listener.name.clone(), pool, settings, Box::new(on_end)))
    }

    /// Has a listener's flows begin as the snapshot of now says, from here on. Every listener for datagrams has to be told
    /// when there is one more or less of them, since they share the sockets. `false` if it is none any more.
    #[expect(dead_code, reason = "the reload calls it")]
    pub(crate) fn change_datagrams(&self, listener: &Listener, proxy: &UdpProxy) -> bool {
        let service = self.service(listener);
        let is_one = service.is_some();
        if let Some((pool, settings)) = service {
            proxy.change(pool, settings);
        }
        is_one
    }

    fn service(&self, listener: &Listener) -> Option<(Arc<Pool>, UdpSettings)> {
        let service = listener.udp()?;
        let snapshot = self.live.snapshot();
        let pool = snapshot.pools.get(service.pool.0)?.clone();
        let flows = self.flows(listener, service.flows, &snapshot);
        Some((pool, UdpSettings { idle: service.idle, flows, responses: service.responses }))
    }

    /// How many flows a listener may have of the `wanted` ones: each has a socket, and all listeners for datagrams have the
    /// same share of those.
    fn flows(&self, listener: &Listener, wanted: u32, snapshot: &Snapshot) -> u32 {
        let sharing = snapshot.listeners.iter().filter(|listener| listener.udp().is_some()).count();
        let share = u32::try_from(self.flow_sockets / sharing.max(1)).unwrap_or(u32::MAX).max(1);
        if share < wanted {
            let name = &listener.name;
            log::info!(
                "fewer flows than configured, by open files and ports listener={name} flows={share} configured={wanted}"
            );
        }
        share.min(wanted)
    }
}
