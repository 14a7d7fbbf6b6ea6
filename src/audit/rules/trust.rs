use crate::audit::evidence::Evidence;
use crate::audit::networks::{is_anyone, is_public, those};
use crate::audit::rule::Check::{Filter, Listener, Whole};
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{High, Medium};
use crate::config;
use crate::config::spec::{AuditRule as Id, TraceTrust, TrustedProxy};
use crate::filters::{CacheSettings, NetworksSettings};
use crate::types::Cidr;

use super::{found, reached_at};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::TrustedAnyone,
        severity: High,
        key: "server.trusted_proxies",
        profile: "the addresses of the proxies in front alone",
        risk: "clients choose the address that they are limited, let in and logged by",
        check: Whole(|evidence| those(&evidence.config.trusted_proxies, is_anyone)),
    },
    Rule {
        id: Id::TrustedPublic,
        severity: Medium,
        key: "server.trusted_proxies",
        profile: "private networks, or single addresses",
        risk: "whoever else is in that network is believed too",
        check: Whole(|evidence| those(&evidence.config.trusted_proxies, is_of_several)),
    },
    Rule {
        id: Id::ProxyHeaderAnyone,
        severity: High,
        key: "proxy_protocol.from",
        profile: "the addresses of the balancers in front alone",
        risk: "clients choose the address that they are limited, let in and logged by",
        check: Listener(|_, listener| those(&senders(listener), is_anyone)),
    },
    Rule {
        id: Id::ProxyHeaderPublic,
        severity: Medium,
        key: "proxy_protocol.from",
        profile: "private networks, or single addresses",
        risk: "whoever else is in that network is believed too",
        check: Listener(|_, listener| those(&senders(listener), is_of_several)),
    },
    Rule {
        id: Id::AllowAnyone,
        severity: High,
        key: "",
        profile: "the networks that may come in alone",
        risk: "the filter keeps nobody out",
        check: Filter("allow", |evidence, at| {
            those(&evidence.read::<NetworksSettings>(at)?.networks, is_anyone)
        }),
    },
    Rule {
        id: Id::PurgeAnyone,
        severity: Medium,
        key: "purge.clients",
        profile: "the networks of those who purge alone",
        risk: "the token is all that keeps strangers from emptying the cache",
        check: Filter("cache", |evidence, at| {
            those(&evidence.read::<CacheSettings>(at)?.purge?.clients, is_anyone)
        }),
    },
    Rule {
        id: Id::TracesAnybody,
        severity: Medium,
        key: "tracing.trust",
        profile: "proxies, where a listener is reached from other machines",
        risk: "any client has as many of its requests recorded as it likes, under traces that it chooses",
        check: Whole(traces_of_anybody),
    },
];

fn traces_of_anybody(evidence: &Evidence<'_>) -> Option<String> {
    let is_anybody = evidence.config.tracing.as_ref()?.trust == TraceTrust::Anybody;
    let serving = evidence.config.listeners.iter().filter(|listener| listener.service.http().is_some());
    let reached: Vec<_> = serving.flat_map(reached_at).collect();
    found(is_anybody && !reached.is_empty(), format_args!("anybody, with {}", reached.join(", ")))
}

/// A public network of several addresses, but not of everybody.
fn is_of_several(network: &Cidr) -> bool {
    let (first, last) = network.bounds();
    is_public(network) && !is_anyone(network) && first != last
}

fn senders(listener: &config::Listener) -> Vec<Cidr> {
    let from = listener.proxy_protocol_from.iter().flatten();
    from.copied().filter_map(TrustedProxy::network).collect()
}
