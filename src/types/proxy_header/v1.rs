use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{InvalidProxyHeader, ProxyHeader, Scan};

const START: &[u8] = b"PROXY ";

/// The longest line, its end included.
const LONGEST: usize = 107;

/// Whether the bytes are, or may become, a line of version 1.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(START) || START.starts_with(bytes)
}

pub(super) fn scan(bytes: &[u8]) -> Result<Scan, InvalidProxyHeader> {
    let line = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return if line.len() < LONGEST { Ok(Scan::Partial) } else { Err(InvalidProxyHeader::LongLine) };
    };
    let header = read(&line[..end]).ok_or(InvalidProxyHeader::Line)?;
    Ok(Scan::Whole(header, end + 1))
}

/// Reads a line without its line feed.
fn read(line: &[u8]) -> Option<ProxyHeader> {
    let line = std::str::from_utf8(line.strip_prefix(START)?.strip_suffix(b"\r")?).ok()?;
    if line.contains('\r') {
        return None;
    }
    match line.split_once(' ') {
        // Whatever else stands there is to be ignored.
        None if line == "UNKNOWN" => Some(ProxyHeader::Unknown),
        Some(("UNKNOWN", _)) => Some(ProxyHeader::Unknown),
        Some(("TCP4", addresses)) => read_addresses::<Ipv4Addr>(addresses),
        Some(("TCP6", addresses)) => read_addresses::<Ipv6Addr>(addresses),
        _ => None,
    }
}

fn read_addresses<A: FromStr + Into<IpAddr>>(text: &str) -> Option<ProxyHeader> {
    let mut parts = text.split(' ');
    let mut next = || parts.next();
    let [client, reached] = [next()?, next()?].map(|ip| ip.parse::<A>().map(Into::into));
    let [client_port, reached_port] = [next()?, next()?].map(port);
    let header = ProxyHeader::Inet {
        client: SocketAddr::new(client.ok()?, client_port?),
        reached: SocketAddr::new(reached.ok()?, reached_port?),
    };
    next().is_none().then_some(header)
}

/// A port in digits alone, without zeros in front of them: some would take those for octal.
fn port(digits: &str) -> Option<u16> {
    let is_plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    is_plain.then(|| digits.parse().ok()).flatten()
}

pub(super) fn write(header: ProxyHeader) -> Vec<u8> {
    let ProxyHeader::Inet { client, reached } = header else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (client_port, reached_port) = (client.port(), reached.port());
    format!("PROXY {family} {} {} {client_port} {reached_port}\r\n", client.ip(), reached.ip()).into_bytes()
}
