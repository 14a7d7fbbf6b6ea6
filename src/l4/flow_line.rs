use crate::telemetry::{AccessLog, ConnectionLine, ConnectionTimings, Millis, Occasion, started};
use crate::types::ListenerName;

use super::udp::{EndReason, FlowEnd};

/// Writes the line of a flow of datagrams.
pub(super) fn write(end: &FlowEnd, listener: &ListenerName, log: &AccessLog) {
    let occasion = Occasion { is_error: is_failure(end.reason), took: None };
    let Some(line) = log.begin(occasion, None) else { return };
    let (ended, closed_by) = words(end.reason);
    line.write(&ConnectionLine {
        began: started(end.began.elapsed()),
        client: Some(end.client.ip().to_canonical()),
        listener: listener.as_str(),
        protocol: "UDP",
        server_name: None,
        pool: Some(end.pool.as_str()),
        endpoint: Some(&end.endpoint),
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

fn is_failure(reason: EndReason) -> bool {
    match reason {
        EndReason::EndpointFailed | EndReason::EndpointUnfit | EndReason::Evicted => true,
        EndReason::Idle | EndReason::Responses | EndReason::Drained => false,
    }
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
