use std::io;

use rustls::AlertDescription;

/// Why a client's handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Nobody waits for an answer: a port scanner, a probe, or a client that has changed its mind.
    #[error("the client closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(io::Error),
    /// With `unknown_sni: reject`.
    #[error("no certificate holds `{0}`")]
    UnknownName(Box<str>),
    /// With `unknown_sni: reject`.
    #[error("the client named no server")]
    NoName,
    /// It has none, or none that the authorities vouch for.
    #[error("the client's certificate is refused: {0}")]
    ClientCertificate(rustls::Error),
    #[error("{0}")]
    Tls(rustls::Error),
}

impl HandshakeError {
    /// Whether anybody on the Internet can bring this about and nobody has to act: not worth a warning.
    pub(crate) fn is_noise(&self) -> bool {
        match self {
            Self::Closed | Self::Io(_) | Self::UnknownName(_) | Self::NoName => true,
            Self::ClientCertificate(_) => false,
            Self::Tls(error) => is_noise(error),
        }
    }
}

fn is_noise(error: &rustls::Error) -> bool {
    use rustls::Error;
    match error {
        // What a client trusts is its own affair; that a certificate has expired or was revoked is not.
        Error::AlertReceived(alert) => {
            !matches!(alert, AlertDescription::CertificateExpired | AlertDescription::CertificateRevoked)
        }
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidMessage(_)
        | Error::DecryptError
        | Error::PeerIncompatible(_)
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord
        | Error::NoApplicationProtocol => true,
        _ => false,
    }
}

impl From<rustls::Error> for HandshakeError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Self::ClientCertificate(error)
            }
            error => Self::Tls(error),
        }
    }
}

impl From<io::Error> for HandshakeError {
    /// What tokio-rustls reports may be of TLS inside.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Closed;
        }
        error.downcast::<rustls::Error>().map_or_else(Self::Io, Self::from)
    }
}
