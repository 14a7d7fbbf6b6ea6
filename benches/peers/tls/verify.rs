//! Whether a peer's TLS is that of the others.

use std::{ffi::OsString, net::Ipv4Addr, sync::Arc, time::Duration};

use rustls::{CipherSuite, HandshakeKind};

use super::{
    client::{self, Exchange, HTTP1, HTTP2},
    shake::{Shaken, shake},
    tickets::Tickets,
};
use crate::{
    peer::Proxy,
    request::{HEADERS, HOST},
    site::Site,
    support::{
        Outcome,
        process::{find, output_of},
    },
};

/// How many tickets follow a full handshake.
const TICKETS: usize = 2;

/// Checks version, suite, group, protocols and tickets, and that sessions are resumed.
///
/// How many tickets follow a resumed handshake is left to the peers: OpenSSL sends one, rustls as many as after a full one.
pub(crate) fn check_handshakes(proxy: &Proxy, site: &Site) -> Outcome<()> {
    let tickets = Arc::new(Tickets::new(true));
    let config = client::config(&site.certificate, Exchange::X25519, HTTP1, tickets.clone())?;
    for (protocol, kind) in [(HTTP1, HandshakeKind::Full), (HTTP2, HandshakeKind::Resumed)] {
        let config = client::with_alpn(&config, protocol);
        let shaken = shake(Ipv4Addr::LOCALHOST, proxy.address, &config, &tickets)?;
        let is_right = shaken.kind == kind
            && shaken.suite == Some(CipherSuite::TLS13_AES_256_GCM_SHA384)
            && shaken.group == Some(Exchange::X25519.group().name())
            && shaken.alpn.as_deref() == Some(protocol)
            && has_right_tickets(&shaken);
        if !is_right {
            return Err(format!("instead of a handshake of kind {kind:?} for {protocol}: {shaken:?}").into());
        }
    }
    Ok(())
}

fn has_right_tickets(shaken: &Shaken) -> bool {
    match shaken.kind {
        HandshakeKind::Resumed => (1..=TICKETS).contains(&shaken.tickets),
        _ => shaken.tickets == TICKETS,
    }
}

/// The body of an answer over HTTP/2, with `extra` fields in the request.
pub(crate) fn get_over_http2(proxy: &Proxy, path: &str, extra: &[(&str, &str)]) -> Outcome<String> {
    let nghttp = find("nghttp").ok_or("no nghttp: scripts/need nghttp2-client")?;
    let mut words: Vec<OsString> = vec![nghttp.into(), "--no-verify-peer".into()];
    words.push(format!("--header=:authority: {HOST}").into());
    for (name, value) in HEADERS.iter().chain(extra) {
        words.push(format!("--header={}: {value}", name.to_ascii_lowercase()).into());
    }
    words.push(format!("https://{}{path}", proxy.address).into());
    output_of(&words, Duration::from_secs(5))
}
