use std::time::{Duration, SystemTime};

use http::header::STRICT_TRANSPORT_SECURITY;

use crate::audit::evidence::{Evidence, NamedCertificate};
use crate::audit::networks::{is_far, is_private};
use crate::audit::rule::Check::{Certificate, Filter, Listener, Pool, Route, Store};
use crate::audit::rule::Rule;
use crate::audit::rule::Severity::{High, Low, Medium};
use crate::config;
use crate::config::spec::{AuditRule as Id, ClientAuthMode, TicketsSpec};
use crate::filters::{HeaderSettings, HstsSettings, JwtSettings};
use crate::types::{EndpointAddr, RedisAddr, Span};

use super::{above, found, reached_at};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: Id::PlainHttp,
        severity: High,
        key: "tls",
        profile: "certificates, or an address that only this machine reaches",
        risk: "whoever is on the way reads and changes what clients send and get",
        check: Listener(|evidence, listener| open_plain(listener).filter(|_| !has_tls(evidence))),
    },
    Rule {
        id: Id::NoHttpsRedirect,
        severity: High,
        key: "redirect_https",
        profile: "true, where another listener serves over TLS",
        risk: "clients who do not write https: are served in clear text, and so can be kept from TLS",
        check: Listener(|evidence, listener| open_plain(listener).filter(|_| has_tls(evidence))),
    },
    Rule {
        id: Id::NoHsts,
        severity: Medium,
        key: "filters",
        profile: "`hsts: {}` on each route that is served over TLS",
        risk: "browsers ask in clear text first, where somebody on the way can answer in the edge's place",
        check: Route(no_hsts),
    },
    Rule {
        id: Id::HstsShort,
        severity: Low,
        key: "max_age",
        profile: "180d or more",
        risk: "browsers that come back seldom ask in clear text first",
        check: Filter("hsts", |evidence, at| {
            let age = evidence.read::<HstsSettings>(at)?.max_age;
            found(age < Span::from_secs(180 * DAY), age)
        }),
    },
    Rule {
        id: Id::ClientCertOptional,
        severity: Medium,
        key: "tls.client_auth",
        profile: "`mode: require`, or the filter `client_cert` on every route that the listener serves",
        risk: "clients who show no certificate are served like those who do",
        check: Listener(optional_certificates),
    },
    Rule {
        id: Id::TicketRotation,
        severity: Low,
        key: "tls.tickets.rotate",
        profile: "12h or less",
        risk: "a ticket key that leaks opens more of the sessions that were recorded",
        check: Listener(|_, listener| {
            above(listener.tls.as_ref()?.rotate_tickets, TicketsSpec::default().rotate)
        }),
    },
    Rule {
        id: Id::CertificateExpires,
        severity: High,
        key: "",
        profile: "7 days or more left",
        risk: "clients turn away when it has expired",
        check: Certificate(|evidence, certificate| {
            let left = days_left(certificate, evidence.now);
            found(left < Duration::from_secs(7 * DAY), expiry(certificate))
        }),
    },
    Rule {
        id: Id::CertificateRenewal,
        severity: Medium,
        key: "",
        profile: "a third of its time left, or 30 days",
        risk: "renewal is overdue, so that it has perhaps stopped to work",
        check: Certificate(|evidence, certificate| {
            let left = days_left(certificate, evidence.now);
            let is_overdue = (Duration::from_secs(7 * DAY)..notice(certificate)).contains(&left);
            found(is_overdue && certificate.is_own, expiry(certificate))
        }),
    },
    Rule {
        id: Id::CertificateWeakKey,
        severity: High,
        key: "",
        profile: "RSA of 2048 bits or more, ECDSA of 224 bits or more",
        risk: "the key can be worked out, and whoever has it is taken for its owner",
        check: Certificate(|_, certificate| {
            let weak = certificate.inspected.weak_key.as_ref()?;
            Some(format!("{weak} in {}", named(certificate)))
        }),
    },
    Rule {
        id: Id::CertificateWeakSignature,
        severity: High,
        key: "",
        profile: "a signature over SHA-256 or better",
        risk: "another certificate with the same signature can be made",
        check: Certificate(|_, certificate| {
            let weak = certificate.inspected.weak_hash?;
            Some(format!("{weak} in {}", named(certificate)))
        }),
    },
    Rule {
        id: Id::UpstreamUnverified,
        severity: High,
        key: "tls.verify",
        profile: "true",
        risk: "every request goes to whoever answers at the address",
        check: Pool(|_, pool| found(!pool.tls.as_ref()?.verify, "false")),
    },
    Rule {
        id: Id::UpstreamPlain,
        severity: High,
        key: "tls",
        profile: "true, where endpoints are outside of private networks",
        risk: "whoever is on the way reads and changes what endpoints are sent and answer",
        check: Pool(upstream_plain),
    },
    Rule {
        id: Id::StorePlain,
        severity: Medium,
        key: "redis",
        profile: "rediss://, or an address in a private network",
        risk: "whoever is on the way reads the password, and what is counted",
        check: Store(|store| match &store.redis {
            RedisAddr::Tcp { host, is_tls: false, .. } => {
                found(is_far(host), format_args!("no TLS towards {host}"))
            }
            RedisAddr::Tcp { .. } | RedisAddr::Unix(_) => None,
        }),
    },
    Rule {
        id: Id::JwksCleartext,
        severity: High,
        key: "keys.jwks.cleartext",
        profile: "false",
        risk: "whoever is on the way says whose tokens count",
        check: Filter("jwt", |evidence, at| {
            found(evidence.read::<JwtSettings>(at)?.keys.jwks?.cleartext, "true")
        }),
    },
];

const DAY: u64 = 24 * 3600;

/// The addresses at which a listener serves requests in clear text to other machines.
fn open_plain(listener: &config::Listener) -> Option<String> {
    let http = listener.service.http()?;
    if listener.tls.is_some() || http.redirect_https.is_some() {
        return None;
    }
    let reached = reached_at(listener);
    found(!reached.is_empty(), format_args!("none on {}", reached.join(", ")))
}

fn has_tls(evidence: &Evidence<'_>) -> bool {
    let mut all = evidence.config.listeners.iter();
    all.any(|listener| listener.tls.is_some() && listener.service.http().is_some())
}

fn no_hsts(evidence: &Evidence<'_>, route: &config::Route) -> Option<String> {
    let is_served = evidence.listeners_of(route).any(|listener| listener.tls.is_some());
    let is_said = |settings: HeaderSettings| {
        settings.set.iter().any(|(name, _)| *name.name() == STRICT_TRANSPORT_SECURITY)
    };
    let has_filter = route.filters.iter().any(|filter| filter.name == "hsts");
    let by_hand = || evidence.filters_of(route, "response_headers").any(is_said);
    found(is_served && !has_filter && !by_hand(), "no `hsts`")
}

fn optional_certificates(evidence: &Evidence<'_>, listener: &config::Listener) -> Option<String> {
    let tls = listener.tls.as_ref()?;
    let all = tls.hosts.iter().map(|(_, asked)| asked).chain([&tls.client_auth]);
    let is_optional = all.into_iter().any(|asked| asked.mode == ClientAuthMode::Optional);
    let served = evidence
        .config
        .routes
        .iter()
        .filter(|route| evidence.listeners_of(route).any(|serving| serving.name == listener.name));
    let unasked =
        served.filter(|route| !route.filters.iter().any(|filter| filter.name == "client_cert")).count();
    found(is_optional && unasked > 0, format_args!("optional, and {unasked} of its routes ask for none"))
}

fn upstream_plain(evidence: &Evidence<'_>, pool: &config::Pool) -> Option<String> {
    if pool.tls.is_some() || !evidence.serves_http(pool) {
        return None;
    }
    let far = pool.endpoints.iter().filter(|endpoint| match &endpoint.address {
        EndpointAddr::Inet(address) => !is_private(address.ip()),
        EndpointAddr::Unix(_) => false,
    });
    let far: Vec<_> = far.map(|endpoint| endpoint.address.to_string()).collect();
    found(!far.is_empty(), format_args!("none towards {}", far.join(", ")))
}

fn days_left(certificate: &NamedCertificate, now: SystemTime) -> Duration {
    certificate.inspected.not_after.duration_since(now).unwrap_or_default()
}

/// As `evener check` has it.
fn notice(certificate: &NamedCertificate) -> Duration {
    let whole = &certificate.inspected;
    let lifetime = whole.not_after.duration_since(whole.not_before).unwrap_or_default();
    Duration::from_secs(30 * DAY).min(lifetime / 3)
}

fn expiry(certificate: &NamedCertificate) -> String {
    let until = humantime::format_rfc3339_seconds(certificate.inspected.not_after);
    format!("{} expires on {until}", named(certificate))
}

fn named(certificate: &NamedCertificate) -> String {
    format!("{} of {}", certificate.inspected.subject, certificate.path.display())
}
