use std::net::IpAddr;

use crate::types::Cidr;

/// Networks that no stranger is in: of this machine, of one link, of one organisation or one provider (RFC 1122, 1918, 3927,
/// 4193, 4291, 6598).
const PRIVATE: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

fn private() -> impl Iterator<Item = Cidr> {
    PRIVATE.iter().filter_map(|network| network.parse().ok())
}

pub(super) fn is_private(address: IpAddr) -> bool {
    private().any(|network| network.contains(address))
}

/// Whether the way to a host may lead past strangers. Whose a name is, nobody can tell from here.
pub(super) fn is_far(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    !host.eq_ignore_ascii_case("localhost") && !bare.parse().is_ok_and(is_private)
}

/// Whether strangers may be in the network.
pub(super) fn is_public(network: &Cidr) -> bool {
    let (first, last) = network.bounds();
    !private().any(|known| known.contains(first) && known.contains(last))
}

/// Whether the network is of many organisations: everybody, or a part of the internet larger than any gets.
pub(super) fn is_anyone(network: &Cidr) -> bool {
    let most = if network.bounds().0.is_ipv4() { 8 } else { 16 };
    is_public(network) && network.prefix_len() < most
}

/// Those of the networks for which this is so, as they are written.
pub(super) fn those<'n>(
    networks: impl IntoIterator<Item = &'n Cidr>,
    is: impl Fn(&Cidr) -> bool,
) -> Option<String> {
    let found: Vec<_> = networks.into_iter().filter(|network| is(network)).map(ToString::to_string).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn private_networks_are_told_from_public_ones() {
        assert_eq!(private().count(), PRIVATE.len());
        for text in ["10.0.0.0/8", "10.1.0.0/16", "192.168.1.7", "fd00::/8", "::1", "100.64.0.0/10"] {
            assert!(!is_public(&network(text)), "{text}");
        }
        for text in ["0.0.0.0/0", "10.0.0.0/7", "203.0.113.0/24", "::/0", "2001:db8::/32", "198.51.100.7"] {
            assert!(is_public(&network(text)), "{text}");
        }
        assert!(is_private("172.31.255.255".parse().unwrap()));
        assert!(!is_private("172.32.0.1".parse().unwrap()));
    }

    #[test]
    fn names_are_far_but_for_the_own() {
        for host in ["collector.example", "198.51.100.7", "[2001:db8::1]", "2001:db8::1", "localhost.example"]
        {
            assert!(is_far(host), "{host}");
        }
        for host in ["localhost", "LocalHost", "127.0.0.1", "10.1.2.3", "[::1]", "fd00::1"] {
            assert!(!is_far(host), "{host}");
        }
    }

    #[test]
    fn whole_parts_of_the_internet_are_anyone() {
        for text in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3"] {
            assert!(is_anyone(&network(text)), "{text}");
        }
        for text in ["104.16.0.0/13", "2400:cb00::/32", "10.0.0.0/8", "fc00::/7"] {
            assert!(!is_anyone(&network(text)), "{text}");
        }
    }
}
