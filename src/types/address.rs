use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::text_leaf;

/// A text that is neither `IP:PORT` nor `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an address; {reason}")]
pub struct InvalidAddress {
    found: String,
    reason: &'static str,
}

/// The longest path that `sockaddr_un` holds, without its closing NUL (unix(7)).
pub(crate) const MAX_UNIX_PATH: usize = 107;

/// Where a listener accepts: an IP address and port, or a Unix socket.
///
/// Port 0 lets the kernel choose, which tests use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindAddr {
    /// `0.0.0.0:8080`, `[::]:8080`
    Inet(SocketAddr),
    /// `unix:run/edge.sock`
    Unix(PathBuf),
}

/// Where an endpoint of a pool answers: an IP address and port (never 0), or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointAddr {
    /// `10.0.0.7:8080`, `[2001:db8::7]:8080`
    Inet(SocketAddr),
    /// `unix:run/app.sock`
    Unix(PathBuf),
}

enum Parsed {
    Inet(SocketAddr),
    Unix(PathBuf),
}

fn parse(text: &str) -> Result<Parsed, InvalidAddress> {
    let fail = |reason| InvalidAddress { found: text.to_owned(), reason };
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.len() {
            0 => Err(fail("the path after `unix:` is empty")),
            1..=MAX_UNIX_PATH => Ok(Parsed::Unix(path.into())),
            _ => Err(fail("a Unix socket's path has at most 107 bytes")),
        };
    }
    text.parse().map(Parsed::Inet).map_err(|_| fail(why_not_inet(text)))
}

/// Finds what is most likely wrong with a text that is no `IP:PORT`.
fn why_not_inet(text: &str) -> &'static str {
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if text.parse::<IpAddr>().is_ok() {
        "the port is missing (write IP:PORT, and an IPv6 address in brackets)"
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        "the IP address is missing (write 0.0.0.0:PORT for all IPv4 addresses)"
    } else if has_port && text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains('[') {
        "host names are not looked up here (write IP:PORT, [IPV6]:PORT or unix:PATH)"
    } else {
        "write IP:PORT, [IPV6]:PORT or unix:PATH"
    }
}

impl FromStr for BindAddr {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Ok(match parse(text)? {
            Parsed::Inet(addr) => Self::Inet(addr),
            Parsed::Unix(path) => Self::Unix(path),
        })
    }
}

impl FromStr for EndpointAddr {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let fail = |reason| Err(InvalidAddress { found: text.to_owned(), reason });
        match parse(text)? {
            Parsed::Inet(addr) if addr.port() == 0 => fail("an endpoint's port is 1 to 65535"),
            Parsed::Inet(addr) if addr.ip().is_unspecified() => {
                fail("an endpoint needs the address of one host, not the wildcard")
            }
            Parsed::Inet(addr) => Ok(Self::Inet(addr)),
            Parsed::Unix(path) => Ok(Self::Unix(path)),
        }
    }
}

impl BindAddr {
    /// The same address with a relative Unix path taken from `base`.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(base.join(path)),
            inet @ Self::Inet(_) => inet,
        }
    }
}

impl EndpointAddr {
    /// The same address with a relative Unix path taken from `base`.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(base.join(path)),
            inet @ Self::Inet(_) => inet,
        }
    }
}

impl fmt::Display for BindAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for EndpointAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

text_leaf!(BindAddr, "an address to bind", "0.0.0.0:8080");
text_leaf!(EndpointAddr, "an endpoint's address", "10.0.0.7:8080");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_three_families_and_writes_them_back() {
        for text in ["127.0.0.1:80", "[::1]:8080", "unix:run/x.sock", "unix:/run/x.sock"] {
            assert_eq!(text.parse::<BindAddr>().unwrap().to_string(), text);
            assert_eq!(text.parse::<EndpointAddr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn tells_the_likely_mistake() {
        let reason = |text: &str| text.parse::<BindAddr>().unwrap_err().reason;
        assert!(reason("127.0.0.1").contains("port is missing"));
        assert!(reason("8080").contains("IP address is missing"));
        assert!(reason("localhost:8080").contains("host names"));
        assert!(reason("unix:").contains("empty"));
        assert!(reason("::1:99999").contains("IP:PORT"));
    }

    #[test]
    fn an_endpoint_is_one_reachable_place() {
        assert!("10.0.0.1:0".parse::<EndpointAddr>().is_err());
        assert!("0.0.0.0:80".parse::<EndpointAddr>().is_err());
        assert!("[::]:80".parse::<EndpointAddr>().is_err());
        assert!("0.0.0.0:0".parse::<BindAddr>().is_ok());
    }

    #[test]
    fn relative_unix_paths_start_at_the_file_that_names_them() {
        let bind: BindAddr = "unix:run/x.sock".parse().unwrap();
        assert_eq!(bind.relative_to(Path::new("/etc/evener")).to_string(), "unix:/etc/evener/run/x.sock");
    }
}
