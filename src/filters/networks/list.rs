use crate::filters::lines::{entry, read_lines};
use crate::types::Cidr;

use super::ranges::NetworkSet;

/// So many networks at most; beyond, a file is surely another one than was meant.
const MAX_NETWORKS: usize = 1_000_000;

/// Reads a file of networks, one a line; empty lines, and what follows a `#`, count for nothing.
///
/// # Errors
/// The lines that are no network, by their number, or that there are too many.
pub(super) fn read(content: &[u8]) -> Result<NetworkSet, String> {
    let mut networks = Vec::new();
    read_lines(content, |line| {
        let Some(network) = entry(line) else { return Ok(()) };
        if networks.len() == MAX_NETWORKS {
            return Err(format!("{MAX_NETWORKS} networks are allowed"));
        }
        networks.push(network.parse::<Cidr>().map_err(|error| error.to_string())?);
        Ok(())
    })?;
    Ok(networks.into_iter().collect())
}

/// Networks that are kept out.
#[derive(Debug)]
pub(super) struct Denied(pub(super) NetworkSet);

/// Reads a file of networks that are kept out. One that lists none is surely about to be written, or was lost: to believe it
/// would let everybody in.
///
/// # Errors
/// As for [`read`], and when there is no network.
pub(super) fn read_denied(content: &[u8]) -> Result<Denied, String> {
    let networks = read(content)?;
    if networks.is_empty() {
        return Err("it lists no network, so that nobody would be kept out".to_owned());
    }
    Ok(Denied(networks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_network_a_line() {
        let set = read(b"# bad ones\n\n10.0.0.0/8 # office\r\n  2001:db8::/32\n192.0.2.1").unwrap();
        for address in ["10.9.9.9", "2001:db8::1", "192.0.2.1"] {
            assert!(set.contains(address.parse().unwrap()), "{address}");
        }
        assert_eq!(read(b"\n# none\n"), Ok(NetworkSet::default()));
        assert!(read_denied(b"\n# none\n").unwrap_err().contains("no network"));
        assert!(read_denied(b"10.0.0.0/8").unwrap().0.contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn tells_which_lines_are_wrong_and_takes_none_of_the_file() {
        let error = read(b"10.0.0.0/8\n10.0.0.0/33\nhost.example\n\n1.2.3\n10/8\n-").unwrap_err();
        assert!(error.starts_with("line 2: `10.0.0.0/33` is not a network"), "{error}");
        assert!(error.contains("line 5: `1.2.3`") && error.ends_with("; and 2 more"), "{error}");
        assert!(read(b"10.0.0.0/8\n\xff").is_err());
    }

    #[test]
    fn a_hundred_thousand_networks_are_read() {
        let lines: Vec<_> = (0..100_000_u32)
            .map(|n| format!("{}.{}.{}.0/25\n", 1 + (n >> 16), (n >> 8) & 255, n & 255))
            .collect();
        let set = read(lines.concat().as_bytes()).unwrap();
        assert!(set.contains("1.0.0.127".parse().unwrap()) && !set.contains("1.0.0.128".parse().unwrap()));
        assert!(
            set.contains("2.134.159.1".parse().unwrap()) && !set.contains("2.134.160.1".parse().unwrap())
        );
    }
}
