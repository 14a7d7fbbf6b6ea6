//! TCP and UDP for pools that do not speak HTTP.

mod flow_line;
mod relay;
mod tcp;
mod udp;

use std::sync::Arc;

use crate::pools::Pool;
use crate::runtime::Listener;
use crate::telemetry::AccessLog;

use tcp::TcpProxy;
use udp::UdpSettings;

pub(crate) use tcp::Arrival;
pub(crate) use udp::{Predecessor, Steering, Turn, UdpProxy, channel};

/// Passes on what listeners do not understand.
#[derive(Debug)]
pub(crate) struct Layer4 {
    log: Arc<AccessLog>,
    tcp: TcpProxy,
    /// So many sockets may all flows of datagrams have.
    flow_sockets: usize,
}

impl Layer4 {
    pub(crate) fn new(log: Arc<AccessLog>, flow_sockets: usize) -> Self {
        Self { tcp: TcpProxy::new(log.clone()), log, flow_sockets }
    }

    /// Passes a connection on, to its end.
    pub(crate) async fn pass(&self, arrival: Arrival) {
        self.tcp.pass(arrival).await;
    }

    /// What passes the datagrams of a listener on, one of so many that are `sharing` the sockets; `None` if it is none for
    /// them.
    pub(crate) fn datagrams(&self, listener: &Listener, sharing: usize) -> Option<Arc<UdpProxy>> {
        let (pool, settings) = self.service(listener, sharing)?;
        let (log, name) = (self.log.clone(), listener.name.clone());
        let on_end = move |end: &_| flow_line::write(end, &name, &log);
        Some(UdpProxy::new(listener.name.clone(), pool, settings, Box::new(on_end)))
    }

    /// Has flows begin as the listener says from here on. All that share the sockets have to be told when there is one more
    /// or less of them.
    pub(crate) fn change_datagrams(&self, proxy: &UdpProxy, listener: &Listener, sharing: usize) {
        if let Some((pool, settings)) = self.service(listener, sharing) {
            proxy.change(pool, settings);
        }
    }

    fn service(&self, listener: &Listener, sharing: usize) -> Option<(Arc<Pool>, UdpSettings)> {
        let service = listener.udp()?;
        let flows = self.flows(listener, service.flows, sharing);
        let settings = UdpSettings { idle: service.idle, flows, responses: service.responses };
        Some((service.pool.clone(), settings))
    }

    /// How many flows a listener may have of the `wanted` ones: each has a socket, and all listeners for datagrams have the
    /// same share of those.
    fn flows(&self, listener: &Listener, wanted: u32, sharing: usize) -> u32 {
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
