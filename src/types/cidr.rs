use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::text_leaf;

/// A text that is no network and no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a network; write ADDRESS/BITS like 10.0.0.0/8 or 2001:db8::/32, or one address")]
pub struct InvalidCidr {
    found: String,
}

/// A network of client addresses, `10.0.0.0/8`; one address stands for itself alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Whether the network holds `address`. An IPv4 address that came in mapped to IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// How many leading bits its addresses share.
    pub(crate) fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Its first and its last address.
    pub(crate) fn bounds(&self) -> (IpAddr, IpAddr) {
        (self.0.network(), self.0.broadcast())
    }
}

/// A network of IPv4 addresses mapped to IPv6 is one of IPv4, as such an address is.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_PREFIX: u8 = 96;
    let mapped = match network {
        IpNet::V6(v6) => v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_PREFIX)),
        IpNet::V4(_) => None,
    };
    let v4 = mapped.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    v4.map_or(network, IpNet::V4)
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let net = match text.parse::<IpNet>() {
            Ok(net) => net,
            Err(_) => {
                IpNet::from(text.parse::<IpAddr>().map_err(|_| InvalidCidr { found: text.to_owned() })?)
            }
        };
        Ok(Self(canonical(net.trunc())))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_leaf!(Cidr, "a network", "10.0.0.0/8");

/// What stands for a client where clients are counted: its IPv4 address, or the first bits of its IPv6
/// address, since one subscriber owns a whole IPv6 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(u128);

impl ClientKey {
    /// The key as a number, unique for each key.
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

/// The key under which a client at `address` is counted; `ipv6_prefix` is 1 to 128 bits.
pub fn client_key(address: IpAddr, ipv6_prefix: u8) -> ClientKey {
    match address.to_canonical() {
        IpAddr::V4(v4) => ClientKey(v4.to_ipv6_mapped().to_bits()),
        IpAddr::V6(v6) => {
            let keep = u32::from(ipv6_prefix.clamp(1, 128));
            ClientKey(v6.to_bits() & (u128::MAX << (Ipv6Addr::BITS - keep)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_networks_and_single_addresses() {
        let net: Cidr = "10.1.2.3/8".parse().unwrap();
        assert_eq!(net.to_string(), "10.0.0.0/8");
        assert!(net.contains("10.255.0.1".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.1.1".parse().unwrap()));
        assert!(!net.contains("11.0.0.1".parse().unwrap()));
        assert_eq!("::1".parse::<Cidr>().unwrap().to_string(), "::1/128");
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
        for (mapped, expected) in [
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(mapped.parse::<Cidr>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn ipv6_clients_are_counted_by_their_prefix_and_ipv4_ones_whole() {
        let key = |text: &str| client_key(text.parse().unwrap(), 64);
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }
}
