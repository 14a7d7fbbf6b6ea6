use std::net::SocketAddr;
use std::time::Duration;

use crate::l4::udp::UdpSettings;
use crate::l4::udp::flows::FlowKey;
use crate::pools::Health;

/// What happened in a step.
#[derive(Debug)]
#[expect(dead_code, reason = "it is read where a failure prints it")]
pub(super) enum Event {
    Sent(FlowKey),
    Passed(Duration),
    Up(SocketAddr),
    Down(SocketAddr),
    Judged(SocketAddr, Health),
    CutOff(Option<SocketAddr>),
    Sockets(usize),
    Changed(Vec<SocketAddr>, UdpSettings),
    Drain,
}
