//! What endpoints are told by a PROXY header: whose request a connection carries.

use std::net::SocketAddr;

use http::Version;
use http::header::{CONNECTION, HeaderValue};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use crate::config::spec::{HttpVersion, SendProxyProtocol};
use crate::pools::begin_with_header;
use crate::runtime::{Connection, Peer};
use crate::types::{ProxyHeader, Tlvs};

use super::cx::RequestCx;
use super::downstream::Downstream;

/// Has the connection of an attempt begin with a PROXY header, where the pool asks for one.
pub(super) fn prepend(session: &Session, cx: &RequestCx, peer: &mut HttpPeer) {
    let Some(connection) = session.connection() else { return };
    let header = ProxyHeader::of_client(client(connection, cx), connection.ends().reached);
    let header = match version(cx) {
        SendProxyProtocol::Off => return,
        SendProxyProtocol::V1 => header.to_v1(),
        SendProxyProtocol::V2 => header.to_v2(tlvs(connection)),
    };
    begin_with_header(peer, header);
}

/// Says on HTTP/1 that no other request will follow; Pingora closes such a connection after the answer.
pub(super) fn end_with_answer(request: &mut RequestHeader, cx: &RequestCx) -> Option<()> {
    let is_sent = version(cx) != SendProxyProtocol::Off;
    if !is_sent || request.version != Version::HTTP_11 || cx.asks_upgrade {
        return Some(());
    }
    request.insert_header(CONNECTION, HeaderValue::from_static("close")).ok()
}

fn version(cx: &RequestCx) -> SendProxyProtocol {
    cx.lease.as_ref().map_or(SendProxyProtocol::Off, |lease| lease.endpoint().pool().send_proxy_protocol)
}

/// The client as logs and routes see it. Of one that a trusted proxy tells by `X-Forwarded-For` the port is not known,
/// which is 0 then.
fn client(connection: &Connection, cx: &RequestCx) -> Option<SocketAddr> {
    let client_ip = cx.facts.as_ref()?.client_ip;
    if client_ip != connection.peer_ip() {
        return Some(SocketAddr::new(client_ip, 0));
    }
    match connection.ends().peer {
        Peer::Inet(address) => Some(address),
        Peer::Unix | Peer::Hidden(_) => None,
    }
}

fn tlvs(connection: &Connection) -> Tlvs<'_> {
    let Some(tls) = connection.tls() else { return Tlvs::default() };
    let alpn = tls.alpn.map(|version| match version {
        HttpVersion::H1 => &b"http/1.1"[..],
        HttpVersion::H2 => b"h2",
    });
    Tlvs { alpn, authority: tls.server_name.as_deref() }
}
