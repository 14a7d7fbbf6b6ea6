use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::PlainName;

/// How names of headers end in which proxies pass the client's address on, as they are compared.
pub(super) const ENDINGS: [&str; 21] = [
    "clientaddr",
    "clientaddress",
    "clientip",
    "connectingip",
    "connectingipv6",
    "externaladdress",
    "forwarded",
    "forwardedfor",
    "originatingip",
    "originip",
    "pseudoipv4",
    "realip",
    "remoteaddr",
    "remoteaddress",
    "remoteip",
    "socketip",
    "sourceaddress",
    "sourceip",
    "srcip",
    "userip",
    "vieweraddress",
];

/// Whether such a header tells where a client is.
pub(super) fn tells_client(name: &PlainName) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The network of a client (24 bits of IPv4, 48 of IPv6), which is what is left of addresses where they are not to tell of
/// people.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_addresses_are_known() {
        for name in [
            "x-forwarded-for",
            "x-original-forwarded-for",
            "forwarded",
            "x-real-ip",
            "true-client-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "fastly-client-ip",
            "cf-connecting-ip",
            "cf-connecting-ipv6",
            "x-envoy-external-address",
            "x-azure-clientip",
            "x-appengine-user-ip",
            "x-originating-ip",
            "cloudfront-viewer-address",
            "x-remote-address",
            "x-source-address",
        ] {
            assert!(tells_client(&PlainName::of(name.as_bytes())), "{name}");
        }
        for name in ["x-forwarded-proto", "x-forwarded-host", "via", "host", "x-zip"] {
            assert!(!tells_client(&PlainName::of(name.as_bytes())), "{name}");
        }
    }
}
