use rustls::{ProtocolVersion, ServerConnection};

use crate::config::spec::HttpVersion;
use crate::hooks::TlsSession;
use crate::types::TlsVersion;

use super::{HandshakeError, client_cert};

/// What a finished handshake came to.
pub(super) fn describe(
    connection: &ServerConnection,
    server_name: Option<Box<str>>,
) -> Result<TlsSession, HandshakeError> {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
        _ => TlsVersion::V1_3,
    };
    let mut session = TlsSession::new(version);
    session.server_name = server_name;
    session.alpn = connection.alpn_protocol().map(|name| match name {
        b"h2" => HttpVersion::H2,
        _ => HttpVersion::H1,
    });
    session.is_resumed = connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    let shown = connection.peer_certificates().and_then(|chain| chain.first());
    session.client_cert =
        shown.map(client_cert::describe).transpose().map_err(HandshakeError::ClientCertificate)?;
    Ok(session)
}
