use crate::audit::rule::Check::{Listener, Pool, Whole};
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{Low, Medium};
use crate::config;
use crate::config::spec::{AuditRule as Id, ClientIdSpec, HttpSpec, Limits, QueueSpec};

use super::{above, found};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::Connections,
        severity: Medium,
        key: "server.connections",
        profile: "50000 or less",
        risk: "connections alone can take all memory and descriptors",
        check: Whole(|evidence| above(evidence.config.connections?, 50_000)),
    },
    Rule {
        id: Id::PerClient,
        severity: Medium,
        key: "limits.per_client",
        profile: "512 or less",
        risk: "few clients take all connections",
        check: Listener(|_, listener| above(listener.limits.per_client, Limits::default().per_client)),
    },
    Rule {
        id: Id::Ipv6Prefix,
        severity: Medium,
        key: "server.http_client_id.ipv6_prefix",
        profile: "64 or less",
        risk: "one client has as many addresses as it likes, and each has limits of its own",
        check: Whole(|evidence| above(evidence.config.ipv6_prefix, ClientIdSpec::default().ipv6_prefix)),
    },
    Rule {
        id: Id::HeaderSize,
        severity: Low,
        key: "limits.header.size",
        profile: "32KiB or less",
        risk: "each connection can take more memory before anything is known of it",
        check: Listener(|_, listener| above(listener.limits.header.size, Limits::default().header.size)),
    },
    Rule {
        id: Id::HeaderCount,
        severity: Low,
        key: "limits.header.count",
        profile: "100 or less",
        risk: "each request can cost more work before it is refused",
        check: Listener(|_, listener| above(listener.limits.header.count, Limits::default().header.count)),
    },
    Rule {
        id: Id::BodySize,
        severity: Low,
        key: "limits.body.size",
        profile: "10MiB or less, where no route takes uploads",
        risk: "clients keep endpoints busy with more than these expect",
        check: Listener(|_, listener| above(listener.limits.body.size, Limits::default().body.size)),
    },
    Rule {
        id: Id::BodyRate,
        severity: Medium,
        key: "limits.body.min_rate",
        profile: "1KiB/s or more",
        risk: "clients that send a byte now and then hold requests, and endpoints, for hours",
        check: Listener(|_, listener| {
            let rate = listener.limits.body.min_rate;
            found(rate < Limits::default().body.min_rate, rate)
        }),
    },
    Rule {
        id: Id::H2Streams,
        severity: Medium,
        key: "http.h2_streams",
        profile: "100 or less",
        risk: "one connection can ask for more at once than many clients do",
        check: Listener(|_, listener| {
            above(listener.service.http()?.spec.h2_streams, HttpSpec::default().h2_streams)
        }),
    },
    Rule {
        id: Id::KeepaliveRequests,
        severity: Low,
        key: "limits.keepalive.requests",
        profile: "10000 or less",
        risk: "connections that never end stay where they are when others are added",
        check: Listener(|_, listener| {
            above(listener.limits.keepalive.requests, Limits::default().keepalive.requests)
        }),
    },
    Rule {
        id: Id::KeepaliveAge,
        severity: Low,
        key: "limits.keepalive.age",
        profile: "1h or less",
        risk: "connections that never end stay where they are when others are added",
        check: Listener(|_, listener| above(listener.limits.keepalive.age, Limits::default().keepalive.age)),
    },
    Rule {
        id: Id::EndpointRequests,
        severity: Low,
        key: "max_requests",
        profile: "1024 or less",
        risk: "an endpoint that is slow gathers more requests than it can ever answer in time",
        check: Pool(|_, pool| {
            above(pool.endpoints.iter().map(|endpoint| endpoint.max_requests).max()?, 1024)
        }),
    },
    Rule {
        id: Id::QueueSize,
        severity: Low,
        key: "queue.size",
        profile: "256 or less",
        risk: "requests wait for an endpoint that will not come to them in time",
        check: Pool(|_, pool| above(pool.queue.size, QueueSpec::default().size)),
    },
    Rule {
        id: Id::UdpFlows,
        severity: Low,
        key: "udp.flows",
        profile: "65536 or less",
        risk: "made-up senders take more sockets and memory",
        check: Listener(|_, listener| match &listener.service {
            config::Service::Udp(udp) => above(udp.flows, 65_536),
            config::Service::Http(_) | config::Service::Tcp(_) => None,
        }),
    },
];
