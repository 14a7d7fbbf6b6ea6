use std::net::IpAddr;

use crate::types::Cidr;

/// Networks of both families, of which it is asked whether one holds an address.
///
/// IPv4 and IPv6 are kept apart, so that `::/0` is about IPv6 alone. 100 000 networks of IPv4 take 800 kB, and a question
/// 17 steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::filters) struct NetworkSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Ranges that neither overlap nor stand out of order: a network within another adds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ranges<T> {
    firsts: Vec<T>,
    lasts: Vec<T>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { firsts: Vec::new(), lasts: Vec::new() }
    }
}

impl NetworkSet {
    pub(super) fn is_empty(&self) -> bool {
        self.v4.firsts.is_empty() && self.v6.firsts.is_empty()
    }

    /// Whether one of the networks holds the address. IPv4 mapped to IPv6 counts as IPv4.
    pub(in crate::filters) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.contains(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.contains(v6.to_bits()),
        }
    }
}

impl FromIterator<Cidr> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = Cidr>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.bounds() {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                _ => {}
            }
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut new = Self::default();
        for (first, last) in ranges {
            match new.lasts.last_mut() {
                Some(reached) if first <= *reached => *reached = last.max(*reached),
                _ => {
                    new.firsts.push(first);
                    new.lasts.push(last);
                }
            }
        }
        new.firsts.shrink_to_fit();
        new.lasts.shrink_to_fit();
        new
    }

    fn contains(&self, value: T) -> bool {
        let begun = self.firsts.partition_point(|&first| first <= value);
        begun.checked_sub(1).is_some_and(|at| value <= self.lasts[at])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(networks: &[&str]) -> NetworkSet {
        networks.iter().map(|network| network.parse::<Cidr>().unwrap()).collect()
    }

    fn holds(set: &NetworkSet, address: &str) -> bool {
        set.contains(address.parse().unwrap())
    }

    #[test]
    fn the_families_are_apart_and_mapped_addresses_are_ipv4() {
        let v4 = set(&["10.0.0.0/8", "192.0.2.7", "::ffff:198.51.100.0/120"]);
        for address in ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "192.0.2.7", "198.51.100.9"] {
            assert!(holds(&v4, address), "{address}");
        }
        for address in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "::10.0.0.1", "198.51.101.0"] {
            assert!(!holds(&v4, address), "{address}");
        }
        let everything_v6 = set(&["::/0"]);
        assert!(holds(&everything_v6, "2001:db8::1") && !holds(&everything_v6, "10.0.0.1"));
        assert!(!holds(&everything_v6, "::ffff:10.0.0.1"));
        let everything_v4 = set(&["0.0.0.0/0"]);
        assert!(holds(&everything_v4, "255.255.255.255") && !holds(&everything_v4, "::1"));
    }

    #[test]
    fn networks_within_others_add_nothing() {
        let nested = set(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.0.0.0/8"]);
        assert_eq!(nested, set(&["10.0.0.0/8"]));
        assert!(holds(&nested, "10.200.0.1"));
        assert!(!holds(&set(&[]), "0.0.0.0"));
    }

    proptest! {
        #[test]
        fn holds_what_one_of_the_networks_holds(
            networks in prop::collection::vec((any::<u8>(), 0_u8..=8), 0..40),
            addresses in prop::collection::vec(any::<u8>(), 1..40),
        ) {
            // In one /24, so that networks and addresses meet often.
            let network = |&(host, bits): &(u8, u8)| format!("10.0.0.{host}/{}", 24 + bits).parse::<Cidr>().unwrap();
            let networks: Vec<_> = networks.iter().map(network).collect();
            let set: NetworkSet = networks.iter().copied().collect();
            for address in addresses {
                let address: IpAddr = format!("10.0.0.{address}").parse().unwrap();
                prop_assert_eq!(set.contains(address), networks.iter().any(|network| network.contains(address)));
            }
        }
    }
}
