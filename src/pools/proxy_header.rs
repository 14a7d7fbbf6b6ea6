//! Connections to endpoints that begin with a PROXY header, for requests and for probes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::ext;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::config;
use crate::config::spec::SendProxyProtocol;
use crate::types::{ProxyHeader, Tlvs, with_random};

/// Has the next connection to `peer` begin with `header`, before TLS, and never be shared or used again: the header holds
/// for all that follows it.
pub(crate) fn begin_with_header(peer: &mut HttpPeer, header: Vec<u8>) {
    // Nobody looks for a kept connection under this key, one stream leaves no room for another beside it, and what is
    // kept nevertheless is closed at once.
    peer.group_key = with_random(|random| random.u64(..));
    peer.options.max_h2_streams = 1;
    peer.options.idle_timeout = Some(Duration::ZERO);
    let limit = peer.options.connection_timeout;
    peer.options.custom_l4 = Some(Arc::new(HeaderFirst { header, limit }));
}

/// What connections of the edge's own begin with, where the pool asks for a header.
pub(super) fn local_header(pool: &config::Pool) -> Option<Vec<u8>> {
    match pool.send_proxy_protocol {
        SendProxyProtocol::Off => None,
        SendProxyProtocol::V1 => Some(ProxyHeader::Local.to_v1()),
        SendProxyProtocol::V2 => Some(ProxyHeader::Local.to_v2(Tlvs::default())),
    }
}

/// Makes connections that begin with this header.
#[derive(Debug)]
struct HeaderFirst {
    header: Vec<u8>,
    /// Pingora keeps its limit only for connections that it makes itself.
    limit: Option<Duration>,
}

#[async_trait]
impl Connect for HeaderFirst {
    async fn connect(&self, address: &PingoraAddr) -> Result<Stream> {
        let dial = self.dial(address);
        let Some(limit) = self.limit else { return dial.await };
        let too_slow = |_| format!("no connection to {address} within {limit:?}");
        tokio::time::timeout(limit, dial).await.explain_err(ErrorType::ConnectTimedout, too_slow)?
    }
}

impl HeaderFirst {
    /// By Pingora's own functions, so that failures are the same as without a header.
    async fn dial(&self, address: &PingoraAddr) -> Result<Stream> {
        match address {
            PingoraAddr::Inet(inet) => self.send_on(ext::connect(inet, None).await?).await,
            PingoraAddr::Unix(unix) => {
                let nameless = || Error::explain(ErrorType::InternalError, "a Unix socket without a path");
                self.send_on(ext::connect_uds(unix.as_pathname().ok_or_else(nameless)?).await?).await
            }
        }
    }

    async fn send_on<S: AsyncWrite + Unpin + Into<Stream>>(&self, mut stream: S) -> Result<Stream> {
        let sent = stream.write_all(&self.header).await;
        // Nothing of a request was sent yet.
        sent.or_err(ErrorType::ConnectError, "the PROXY header was not taken")?;
        Ok(stream.into())
    }
}
