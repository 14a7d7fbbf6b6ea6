use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{InvalidProxyHeader, ProxyHeader, Scan};

/// Chosen so that no other protocol begins like this.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, a byte for version and command, one for family and transport, and the length of the rest.
pub(super) const PREFIX: usize = 16;

/// The longest rest that is taken: addresses have 216 bytes at most, TLVs what is left.
pub(super) const LONGEST_REST: u16 = 4096;

// Version and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

// Family and transport.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// How long a pair of Unix addresses is.
const UNIX_ADDRESSES: usize = 216;

// Types of TLVs.
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;

/// What else a header tells of a client that came over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tlvs<'a> {
    /// The protocol that was agreed on.
    pub(crate) alpn: Option<&'a [u8]>,
    /// The server name that the client asked for.
    pub(crate) authority: Option<&'a str>,
}

/// Whether the bytes are, or may become, a header of version 2.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE) || SIGNATURE.starts_with(bytes)
}

pub(super) fn scan(bytes: &[u8]) -> Result<Scan, InvalidProxyHeader> {
    let Some((prefix, _)) = bytes.split_first_chunk::<PREFIX>() else { return Ok(Scan::Partial) };
    let [.., command, family, high, low] = *prefix;
    if !matches!(command, LOCAL | PROXY) {
        return Err(InvalidProxyHeader::Command(command));
    }
    let length = u16::from_be_bytes([high, low]);
    if length > LONGEST_REST {
        return Err(InvalidProxyHeader::TooLong(length));
    }
    let length = PREFIX + usize::from(length);
    let Some(header) = bytes.get(..length) else { return Ok(Scan::Partial) };
    // The rest of such a header is to be ignored, its family included.
    let told = if command == LOCAL { ProxyHeader::Local } else { read(header, family)? };
    Ok(Scan::Whole(told, length))
}

/// Reads a whole header with the command PROXY.
fn read(header: &[u8], family: u8) -> Result<ProxyHeader, InvalidProxyHeader> {
    let rest = &header[PREFIX..];
    let (told, addresses) = match family {
        TCP_OVER_IPV4 => read_ipv4(rest),
        TCP_OVER_IPV6 => read_ipv6(rest),
        UNIX_STREAM => rest.get(..UNIX_ADDRESSES).map(|_| (ProxyHeader::Unix, UNIX_ADDRESSES)),
        // Nothing of what follows, or of a datagram's sender, can be of use.
        _ if family >> 4 <= 3 && family & 0x0f <= 2 => return Ok(ProxyHeader::Unknown),
        _ => return Err(InvalidProxyHeader::Family(family)),
    }
    .ok_or(InvalidProxyHeader::Addresses)?;
    check_tlvs(header, PREFIX + addresses)?;
    Ok(told)
}

/// The addresses and the number of their bytes.
fn read_ipv4(rest: &[u8]) -> Option<(ProxyHeader, usize)> {
    let (client, rest) = rest.split_first_chunk::<4>()?;
    let (reached, rest) = rest.split_first_chunk::<4>()?;
    let [client_port, reached_port] = read_ports(rest)?;
    let client = SocketAddr::from((Ipv4Addr::from(*client), client_port));
    let reached = SocketAddr::from((Ipv4Addr::from(*reached), reached_port));
    Some((ProxyHeader::Inet { client, reached }, 12))
}

fn read_ipv6(rest: &[u8]) -> Option<(ProxyHeader, usize)> {
    let (client, rest) = rest.split_first_chunk::<16>()?;
    let (reached, rest) = rest.split_first_chunk::<16>()?;
    let [client_port, reached_port] = read_ports(rest)?;
    let client = SocketAddr::from((Ipv6Addr::from(*client), client_port));
    let reached = SocketAddr::from((Ipv6Addr::from(*reached), reached_port));
    Some((ProxyHeader::Inet { client, reached }, 36))
}

fn read_ports(rest: &[u8]) -> Option<[u16; 2]> {
    let ([a, b, c, d], _) = rest.split_first_chunk::<4>()?;
    Some([u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])])
}

/// Checks that the TLVs, which begin at `at`, end where the header does, and its checksum if it has one.
fn check_tlvs(header: &[u8], mut at: usize) -> Result<(), InvalidProxyHeader> {
    while at < header.len() {
        let ([kind, high, low], rest) =
            header[at..].split_first_chunk::<3>().ok_or(InvalidProxyHeader::Tlvs)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length).ok_or(InvalidProxyHeader::Tlvs)?;
        at += 3;
        if *kind == CRC32C {
            let sum = <[u8; 4]>::try_from(value).map_err(|_| InvalidProxyHeader::Tlvs)?;
            // It was summed up with zeros in its own place.
            let parts = [&header[..at], &[0; 4], &header[at + 4..]];
            if crc32c(parts.into_iter().flatten()) != u32::from_be_bytes(sum) {
                return Err(InvalidProxyHeader::Checksum);
            }
        }
        at += length;
    }
    Ok(())
}

/// The checksum of RFC 9260, appendix A; bit by bit, since headers are short.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    let add_bit = |crc: u32, _| (crc >> 1) ^ (REVERSED_POLYNOMIAL * (crc & 1));
    !bytes.fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), add_bit))
}

pub(super) fn write(header: ProxyHeader, tlvs: Tlvs<'_>) -> Vec<u8> {
    let (command, family) = match header {
        ProxyHeader::Local => (LOCAL, UNSPECIFIED),
        // The paths of another machine's sockets, or of this one's, are of no use to an endpoint.
        ProxyHeader::Unknown | ProxyHeader::Unix => (PROXY, UNSPECIFIED),
        ProxyHeader::Inet { client: SocketAddr::V4(_), .. } => (PROXY, TCP_OVER_IPV4),
        ProxyHeader::Inet { client: SocketAddr::V6(_), .. } => (PROXY, TCP_OVER_IPV6),
    };
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[command, family, 0, 0]);
    if let ProxyHeader::Inet { client, reached } = header {
        for address in [client, reached] {
            match address {
                SocketAddr::V4(v4) => out.extend_from_slice(&v4.ip().octets()),
                SocketAddr::V6(v6) => out.extend_from_slice(&v6.ip().octets()),
            }
        }
        out.extend_from_slice(&client.port().to_be_bytes());
        out.extend_from_slice(&reached.port().to_be_bytes());
    }
    put_tlv(&mut out, ALPN, tlvs.alpn);
    put_tlv(&mut out, AUTHORITY, tlvs.authority.map(str::as_bytes));
    // Two values of 255 bytes at most do not overflow it.
    let length = (out.len() - PREFIX) as u16;
    out[PREFIX - 2..PREFIX].copy_from_slice(&length.to_be_bytes());
    out
}

/// Longer values than TLS has are left out.
fn put_tlv(out: &mut Vec<u8>, kind: u8, value: Option<&[u8]>) {
    let Some(value) = value else { return };
    if let Ok(length) = u8::try_from(value.len()) {
        out.extend_from_slice(&[kind, 0, length]);
        out.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_its_specification() {
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
        assert_eq!(crc32c([0; 32].iter()), 0x8a91_36aa);
    }
}
