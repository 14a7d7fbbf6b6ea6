use std::io;

use rustls::server::AcceptedAlert;
use rustls::{HandshakeKind, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::hooks::TlsSession;

use super::client_auth::PolicyId;
use super::hello::{Hello, part, send, written};
use super::policy::Policy;
use super::state::State;
use super::{HandshakeError, session};

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Accepted<S> {
    pub(crate) stream: TlsStream<S>,
    pub(crate) session: TlsSession,
    /// What the client had to prove.
    pub(crate) policy: PolicyId,
}

/// Why a handshake is not even begun, and what the client hears of it.
struct Refusal {
    error: HandshakeError,
    alert: Vec<u8>,
}

/// The alert of RFC 6066 §3, which rustls does not send by itself: fatal, in a record of two bytes.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Shakes hands. On failure the client has got its alert.
pub(super) async fn accept<S>(state: &State, mut stream: S) -> Result<Accepted<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = Hello::read(&mut stream).await?;
    let name = hello.server_name();
    if !state.knows(name.as_deref()) {
        send(&mut stream, &UNRECOGNIZED_NAME).await;
        return Err(name.map_or(HandshakeError::NoName, HandshakeError::UnknownName));
    }
    let policy = state.policies.of(name.as_deref());
    let connection = match begin(policy, hello) {
        Ok(connection) => connection,
        Err(Refusal { error, alert }) => {
            send(&mut stream, &alert).await;
            return Err(error);
        }
    };
    let is_verified = is_resumed(&connection);
    // tokio-rustls wraps connections of its own making only, so ours takes the place of such a one.
    let acceptor = TlsAcceptor::from(policy.config.clone());
    let accepting = acceptor.accept_with(stream, |made| *made = connection).into_fallible();
    let stream = match accepting.await {
        Ok(stream) => stream,
        Err((error, mut stream)) => {
            part(&mut stream).await;
            return Err(error.into());
        }
    };
    let connection = stream.get_ref().1;
    // After a HelloRetryRequest it is the second message that says what is resumed.
    if is_resumed(connection) && !is_verified {
        policy.verify(connection.peer_certificates()).map_err(HandshakeError::ClientCertificate)?;
    }
    let session = session::describe(connection, name)?;
    Ok(Accepted { stream, session, policy: policy.id })
}

/// Answers a client's first message, without sending the answer yet. A session whose client certificate is no longer
/// good is not resumed: the handshake is begun again as a full one, in which the client can show another.
fn begin(policy: &Policy, hello: Hello) -> Result<ServerConnection, Refusal> {
    let Hello { accepted, mut replay } = hello;
    let mut connection = accepted.into_connection(policy.config.clone())?;
    if is_resumed(&connection) && policy.verify(connection.peer_certificates()).is_err() {
        connection = replay.accepted()?.into_connection(policy.afresh.clone())?;
    }
    let mut rest = replay.rest();
    while !rest.is_empty() {
        connection.read_tls(&mut rest)?;
    }
    Ok(connection)
}

fn is_resumed(connection: &ServerConnection) -> bool {
    connection.handshake_kind() == Some(HandshakeKind::Resumed)
}

impl From<(rustls::Error, AcceptedAlert)> for Refusal {
    fn from((error, alert): (rustls::Error, AcceptedAlert)) -> Self {
        Self { error: error.into(), alert: written(alert) }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { error: HandshakeError::Io(error), alert: Vec::new() }
    }
}
