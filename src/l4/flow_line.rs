use crate::telemetry::{AccessLog, ConnectionLine, ConnectionTimings, Millis, started};
use crate::types::ListenerName;

use super::udp::{EndReason, FlowEnd};

/// Writes the line of a flow of datagrams.
pub(super) fn write(end: &FlowEnd, listener: &ListenerName, log: &AccessLog) {
    if !log.is_on() {
        return;
    }
    let (ended, closed_by) = words(end.reason);
    log.write(&ConnectionLine {
        time: started(end.began.elapsed()),
        client: end.client.ip().to_canonical().to_string(),
        listener: listener.as_str(),
        protocol: "UDP",
        server_name: None,
        pool: Some(end.pool.as_str()),
        endpoint: Some(end.endpoint.to_string()),
        attempts: 1,
        bytes_in: end.bytes_in,
        bytes_out: end.bytes_out,
        datagrams_in: Some(end.datagrams_in),
        datagrams_out: Some(end.datagrams_out),
        ended,
        closed_by,
        ms: ConnectionTimings {
            connect: None,
            first_byte: end.first_reply.map(Millis),
            total: Millis(end.lasted),
        },
    });
}

fn words(reason: EndReason) -> (&'static str, &'static str) {
    match reason {
        EndReason::Idle => ("idle_timeout", "edge"),
        EndReason::Responses => ("finished", "endpoint"),
        EndReason::Evicted => ("evicted", "edge"),
        EndReason::EndpointFailed => ("endpoint_failed", "endpoint"),
        EndReason::EndpointUnfit => ("endpoint_unfit", "edge"),
        EndReason::Drained => ("cut", "edge"),
    }
}
