use crate::audit::rule::Check::{Listener, Pool};
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{Low, Medium};
use crate::config;
use crate::config::spec::{AuditRule as Id, Limits, QueueSpec, Timeouts, UpstreamKeepalive};
use crate::types::Span;

use super::above;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::HeaderTimeout,
        severity: Medium,
        key: "limits.header.timeout",
        profile: "10s or less",
        risk: "clients that send a header slowly hold connections for longer",
        check: Listener(|_, listener| {
            above(listener.limits.header.timeout, Limits::default().header.timeout)
        }),
    },
    Rule {
        id: Id::BodyIdle,
        severity: Low,
        key: "limits.body.idle",
        profile: "30s or less",
        risk: "clients that pause hold requests, and endpoints, for longer",
        check: Listener(|_, listener| above(listener.limits.body.idle, Limits::default().body.idle)),
    },
    Rule {
        id: Id::SendIdle,
        severity: Low,
        key: "limits.send_idle",
        profile: "30s or less",
        risk: "clients that take nothing hold answers in memory for longer",
        check: Listener(|_, listener| above(listener.limits.send_idle, Limits::default().send_idle)),
    },
    Rule {
        id: Id::HandshakeTimeout,
        severity: Low,
        key: "limits.handshake",
        profile: "5s or less",
        risk: "clients that begin TLS and stop hold connections for longer",
        check: Listener(|_, listener| above(listener.limits.handshake, Limits::default().handshake)),
    },
    Rule {
        id: Id::KeepaliveIdle,
        severity: Low,
        key: "limits.keepalive.idle",
        profile: "75s or less",
        risk: "connections at rest take places that others need",
        check: Listener(|_, listener| {
            above(listener.limits.keepalive.idle, Limits::default().keepalive.idle)
        }),
    },
    Rule {
        id: Id::TcpIdle,
        severity: Low,
        key: "tcp.idle",
        profile: "1h or less",
        risk: "connections of clients that are gone stay for longer",
        check: Listener(|_, listener| above(tcp(listener)?.idle, Span::from_secs(3600))),
    },
    Rule {
        id: Id::TcpConnect,
        severity: Low,
        key: "tcp.connect",
        profile: "5s or less",
        risk: "clients wait for endpoints that do not answer",
        check: Listener(|_, listener| above(tcp(listener)?.connect, Span::from_secs(5))),
    },
    Rule {
        id: Id::UdpIdle,
        severity: Low,
        key: "udp.idle",
        profile: "30s or less",
        risk: "flows of made-up senders stay for longer",
        check: Listener(|_, listener| match &listener.service {
            config::Service::Udp(udp) => above(udp.idle, Span::from_secs(30)),
            config::Service::Http(_) | config::Service::Tcp(_) => None,
        }),
    },
    Rule {
        id: Id::ConnectTimeout,
        severity: Low,
        key: "timeouts.connect",
        profile: "2s or less",
        risk: "requests wait for endpoints that are gone, where another could serve them",
        check: Pool(|_, pool| above(pool.timeouts.connect, Timeouts::default().connect)),
    },
    Rule {
        id: Id::UpstreamHandshake,
        severity: Low,
        key: "timeouts.handshake",
        profile: "4s or less",
        risk: "requests wait for endpoints that are gone, where another could serve them",
        check: Pool(|_, pool| above(pool.timeouts.handshake, Timeouts::default().handshake)),
    },
    Rule {
        id: Id::FirstByte,
        severity: Low,
        key: "timeouts.first_byte",
        profile: "30s or less",
        risk: "requests gather at an endpoint that hangs",
        check: Pool(|_, pool| above(pool.timeouts.first_byte, Timeouts::default().first_byte)),
    },
    Rule {
        id: Id::UpstreamIdle,
        severity: Low,
        key: "timeouts.idle",
        profile: "30s or less",
        risk: "requests gather at an endpoint that hangs",
        check: Pool(|_, pool| above(pool.timeouts.idle, Timeouts::default().idle)),
    },
    Rule {
        id: Id::TotalTimeout,
        severity: Medium,
        key: "timeouts.total",
        profile: "60s or less, and not 0",
        risk: "a request can go on for ever, and hold its client, its endpoint and its place",
        check: Pool(|_, pool| match pool.timeouts.total {
            total if total.is_zero() => Some("no limit".to_owned()),
            total => above(total, Timeouts::default().total),
        }),
    },
    Rule {
        id: Id::TunnelIdle,
        severity: Low,
        key: "timeouts.tunnel",
        profile: "1h or less",
        risk: "WebSockets of clients that are gone stay for longer",
        check: Pool(|_, pool| above(pool.timeouts.tunnel, Timeouts::default().tunnel)),
    },
    Rule {
        id: Id::UpstreamKeepalive,
        severity: Low,
        key: "keepalive.idle",
        profile: "50s or less",
        risk: "endpoints close connections first, and the requests that are just sent on them fail",
        check: Pool(|_, pool| above(pool.keepalive.idle, UpstreamKeepalive::default().idle)),
    },
    Rule {
        id: Id::QueueTimeout,
        severity: Low,
        key: "queue.timeout",
        profile: "1s or less",
        risk: "clients wait for a refusal, and the queue is full for longer",
        check: Pool(|_, pool| above(pool.queue.timeout, QueueSpec::default().timeout)),
    },
];

fn tcp(listener: &config::Listener) -> Option<&config::Tcp> {
    match &listener.service {
        config::Service::Tcp(tcp) => Some(tcp),
        config::Service::Http(_) | config::Service::Udp(_) => None,
    }
}
