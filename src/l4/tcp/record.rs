use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::pools::Pool;
use crate::runtime::{Cause, Ends, Listener};
use crate::telemetry::{
    AccessLog, ConnectionLine, ConnectionTimings, Millis, Occasion, PendingLine, started,
};
use crate::tls::Wishes;
use crate::types::EndpointAddr;

use super::{ClosedBy, End, Relayed, Unserved};

/// What is known of a connection, for its line in the access log.
pub(super) struct Record {
    pub(super) began: Instant,
    pub(super) listener: Arc<Listener>,
    pub(super) ends: Ends,
    pub(super) asked: Option<Wishes>,
    pub(super) pool: Option<Arc<Pool>>,
    /// The endpoint of the last attempt.
    pub(super) endpoint: Option<Arc<EndpointAddr>>,
    pub(super) attempts: usize,
    pub(super) connected: Option<Instant>,
}

impl Record {
    pub(super) fn new(listener: Arc<Listener>, ends: Ends) -> Self {
        Self {
            began: Instant::now(),
            listener,
            ends,
            asked: None,
            pool: None,
            endpoint: None,
            attempts: 0,
            connected: None,
        }
    }

    pub(super) fn client_ip(&self) -> Option<IpAddr> {
        self.ends.peer.address().map(|address| address.ip().to_canonical())
    }

    pub(super) fn server_name(&self) -> Option<&str> {
        self.asked.as_ref().and_then(|asked| asked.server_name.as_deref())
    }

    /// Writes the line of a connection that was passed on.
    pub(super) fn write(&self, relayed: &Relayed, log: &AccessLog) {
        let is_error = relayed.end == End::Reset && relayed.closed_by == ClosedBy::Endpoint;
        if let Some(line) = self.begin(is_error, log) {
            let bytes = (relayed.bytes_in, relayed.bytes_out);
            self.write_line(line, end(relayed.end), closed_by(relayed.closed_by), bytes, relayed.first_byte);
        }
    }

    /// Writes the line of one that was not.
    pub(super) fn write_failure(&self, unserved: &Unserved, log: &AccessLog) {
        let Some(line) = self.begin(true, log) else { return };
        let (ended, by) = match unserved {
            Unserved::Cut => (end(End::Cut), ClosedBy::Edge),
            Unserved::Cause(cause @ Cause::ClientGone) => (cause.word(), ClosedBy::Client),
            Unserved::Cause(cause) => (cause.word(), ClosedBy::Edge),
        };
        self.write_line(line, ended, closed_by(by), (0, 0), None);
    }

    /// How long a connection lasts tells nothing of how well it went.
    fn begin<'l>(&'l self, is_error: bool, log: &'l AccessLog) -> Option<PendingLine<'l>> {
        log.begin(Occasion { is_error, took: None }, self.listener.lines.as_ref())
    }

    fn write_line(
        &self,
        line: PendingLine<'_>,
        ended: &str,
        closed_by: &'static str,
        (bytes_in, bytes_out): (u64, u64),
        first_byte: Option<Instant>,
    ) {
        let total = self.began.elapsed();
        line.write(&ConnectionLine {
            began: started(total),
            client: self.client_ip(),
            listener: self.listener.name.as_str(),
            protocol: "TCP",
            server_name: self.server_name(),
            pool: self.pool.as_ref().map(|pool| pool.name().as_str()),
            endpoint: self.endpoint.as_deref(),
            attempts: self.attempts,
            bytes_in,
            bytes_out,
            datagrams_in: None,
            datagrams_out: None,
            ended,
            closed_by,
            ms: ConnectionTimings {
                connect: Millis::between(Some(self.began), self.connected),
                first_byte: Millis::between(self.connected, first_byte),
                total: Millis(total),
            },
        });
    }
}

fn end(end: End) -> &'static str {
    match end {
        End::Finished => "finished",
        End::Reset => "reset",
        End::IdleTimeout => "idle_timeout",
        End::LifetimeOver => "lifetime_over",
        End::Cut => "cut",
    }
}

fn closed_by(who: ClosedBy) -> &'static str {
    match who {
        ClosedBy::Client => "client",
        ClosedBy::Endpoint => "endpoint",
        ClosedBy::Edge => "edge",
    }
}
