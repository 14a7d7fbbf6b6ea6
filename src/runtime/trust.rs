//! What is believed of a client and what is never served: pure rules, for the gateway and for explanations.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use smallvec::SmallVec;

use super::{EVENER_DEBUG, Snapshot};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Why a header of a request is dropped before anything looks at it. Displays as a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// CGI programs would take it for a proxy setting ("httpoxy", CVE-2016-5385).
    #[error("CGI programs would take it for a proxy setting")]
    ProxySetting,
    /// Only Evener and trusted proxies may say this.
    #[error("the client is not a trusted proxy")]
    Untrusted,
    /// CGI programs would take it for a forwarding header, since to them `_` and `-` are one.
    #[error("CGI programs would take it for a forwarding header")]
    Imitation,
    /// It asks the edge, not the endpoint.
    #[error("it is for the edge")]
    ForTheEdge,
    /// Endpoints would take it for what the edge found in the TLS handshake.
    #[error("only an edge that has seen a client's certificate may tell of it")]
    CertificateClaim,
}

/// Why a header of this name is dropped; `None` for one that stays.
pub(crate) fn refusal(name: &HeaderName, peer_is_trusted: bool) -> Option<Refusal> {
    let name = name.as_str();
    // All of them begin with one of these, and most headers do not.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'e' | b'f' | b'p' | b's' | b'v' | b'x')) {
        return None;
    }
    if name == "proxy" {
        Some(Refusal::ProxySetting)
    } else if name == EVENER_DEBUG.as_str() {
        Some(Refusal::ForTheEdge)
    } else if is_certificate_header(name) {
        (!peer_is_trusted).then_some(Refusal::CertificateClaim)
    } else if is_forwarding_header(name) {
        (!peer_is_trusted).then_some(Refusal::Untrusted)
    } else {
        imitates_forwarding_header(name).then_some(Refusal::Imitation)
    }
}

/// Headers by which proxies tell of the client.
fn is_forwarding_header(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "via" | "x-real-ip" | "x-request-id")
}

/// Headers by which proxies tell of a client's certificate: those of RFC 9440 and the names that nginx, HAProxy and Apache
/// are commonly configured with. `X-Forwarded-Client-Cert` is among the forwarding ones.
fn is_certificate_header(name: &str) -> bool {
    name.starts_with("client-cert")
        || name.starts_with("x-client-cert")
        || name.starts_with("ssl-client-")
        || name.starts_with("x-ssl-client-")
}

/// Whether a header of this name, which only trusted proxies may send, tells of a client's certificate.
pub(crate) fn is_certificate_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name.as_bytes().first(), Some(b'c' | b's' | b'x'))
        && (is_certificate_header(name) || name == "x-forwarded-client-cert")
}

fn imitates_forwarding_header(name: &str) -> bool {
    let plain = || name.replace('_', "-");
    name.contains('_') && (is_forwarding_header(&plain()) || is_certificate_header(&plain()))
}

/// Whether requests of this method get a 405, whatever they ask for: each of them lets a client reach through
/// the edge or read back what was added to its request.
pub(crate) fn is_refused_method(method: &Method) -> bool {
    matches!(*method, Method::CONNECT | Method::TRACE) || method.as_str() == "TRACK"
}

/// The client as trusted proxies tell it: of all addresses in `X-Forwarded-For` the last that is not itself a
/// trusted proxy, since every one before it may be made up. An unreadable entry ends the search.
///
/// Only for requests of a peer that is itself trusted.
pub(crate) fn forwarded_client(headers: &HeaderMap, snapshot: &Snapshot) -> Option<IpAddr> {
    outermost(headers, |ip| snapshot.trusts(ip))
}

fn outermost(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let fields: SmallVec<[&HeaderValue; 2]> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    let mut outermost = None;
    for field in fields.iter().rev() {
        for entry in field.to_str().ok()?.rsplit(',') {
            let Some(ip) = parse_forwarded(entry.trim()) else { return outermost };
            outermost = Some(ip);
            if !is_trusted(ip) {
                return outermost;
            }
        }
    }
    outermost
}

/// An address, with or without a port.
fn parse_forwarded(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    entry.parse().ok().or_else(with_port).or_else(bracketed).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_proxies_may_say_is_dropped_unless_they_are_trusted() {
        for (name, of_untrusted, of_trusted) in [
            ("proxy", Some(Refusal::ProxySetting), Some(Refusal::ProxySetting)),
            ("x-forwarded-anything", Some(Refusal::Untrusted), None),
            ("forwarded", Some(Refusal::Untrusted), None),
            ("via", Some(Refusal::Untrusted), None),
            ("x-real-ip", Some(Refusal::Untrusted), None),
            ("x-request-id", Some(Refusal::Untrusted), None),
            ("x_forwarded-for", Some(Refusal::Imitation), Some(Refusal::Imitation)),
            ("x-real_ip", Some(Refusal::Imitation), Some(Refusal::Imitation)),
            ("client-cert", Some(Refusal::CertificateClaim), None),
            ("client-cert-chain", Some(Refusal::CertificateClaim), None),
            ("x-ssl-client-s-dn", Some(Refusal::CertificateClaim), None),
            ("ssl_client_verify", Some(Refusal::Imitation), Some(Refusal::Imitation)),
            ("evener-debug", Some(Refusal::ForTheEdge), Some(Refusal::ForTheEdge)),
            ("x-client", None, None),
            ("x-forwarded", None, None),
            ("x_custom", None, None),
            ("proxy-authorization", None, None),
            ("host", None, None),
        ] {
            let header = HeaderName::from_static(name);
            assert_eq!(refusal(&header, false), of_untrusted, "{name}");
            assert_eq!(refusal(&header, true), of_trusted, "{name}");
        }
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        for (fields, expected) in [
            (&[][..], None),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["192.0.2.9, 192.0.2.1, 10.0.0.1"], Some("192.0.2.1")),
            (&["192.0.2.1", "10.0.0.2,10.0.0.1"], Some("192.0.2.1")),
            (&["10.0.0.2, 10.0.0.1"], Some("10.0.0.2")),
            (&["192.0.2.1, who, 10.0.0.1"], Some("10.0.0.1")),
            (&["192.0.2.1, who"], None),
            (&["192.0.2.1:80"], Some("192.0.2.1")),
            (&["[2001:db8::1]:80"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
        ] {
            let values = fields.iter().map(|field| (X_FORWARDED_FOR, HeaderValue::from_static(field)));
            let is_trusted = |ip: IpAddr| ip.to_string().starts_with("10.");
            let found = outermost(&values.collect(), is_trusted);
            assert_eq!(found, expected.map(|ip| ip.parse().unwrap()), "{fields:?}");
        }
    }

    #[test]
    fn methods_that_reach_through_are_refused() {
        for name in ["CONNECT", "TRACE", "TRACK"] {
            assert!(is_refused_method(&Method::from_bytes(name.as_bytes()).unwrap()), "{name}");
        }
        for name in ["GET", "OPTIONS", "PURGE", "trace"] {
            assert!(!is_refused_method(&Method::from_bytes(name.as_bytes()).unwrap()), "{name}");
        }
    }
}
