use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Ends TLS in front of an endpoint that knows none. It ends, with all its connections, when it is dropped.
pub struct TlsFront {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Handshake>>>,
    accepting: AbortHandle,
}

/// A handshake that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The name that was asked for.
    pub name: Option<String>,
    /// The protocol that was agreed on.
    pub protocol: Option<String>,
    /// The certificate that the client has shown.
    pub client: Option<Vec<u8>>,
}

impl TlsFront {
    pub async fn new(config: ServerConfig, endpoint: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Handshake>>> = Arc::default();
        let (acceptor, handshakes) = (TlsAcceptor::from(Arc::new(config)), seen.clone());
        let accept = async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(relay(stream, acceptor.clone(), endpoint, handshakes.clone()));
            }
        };
        Self { address, seen, accepting: tokio::spawn(accept).abort_handle() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handshakes so far.
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.seen.lock().clone()
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn relay(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    endpoint: SocketAddr,
    seen: Arc<Mutex<Vec<Handshake>>>,
) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let session = stream.get_ref().1;
    seen.lock().push(Handshake {
        name: session.server_name().map(str::to_owned),
        protocol: session.alpn_protocol().map(|protocol| String::from_utf8(protocol.to_vec()).unwrap()),
        client: session.peer_certificates().map(|chain| chain[0].to_vec()),
    });
    let Ok(mut endpoint) = TcpStream::connect(endpoint).await else { return };
    // However it ends, both sides learn of it.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut endpoint).await;
}
