use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use pingora_core::upstreams::peer::HttpPeer;
use smallvec::SmallVec;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};

use crate::hooks::{Authorities, FetchError, FetchLimits, FetchUrl, Fetched};
use crate::pools::peer::{Server, peer_of_server};
use crate::types::EndpointAddr;

use super::attempt::{broken, is_larger, read_body};
use super::message::{Message, strip_connection};
use super::sending::exchange;
use super::{LONGEST, connector};

/// Fetches from servers that URLs name.
pub(crate) struct UrlClient;

/// What a URL says of its server.
struct Origin<'u> {
    /// Without the brackets of an address.
    host: &'u str,
    port: u16,
    is_tls: bool,
}

/// So many addresses of a name are tried.
const MOST_ADDRESSES: usize = 8;

#[async_trait]
impl FetchUrl for UrlClient {
    async fn fetch_url(
        &self,
        request: Request<Bytes>,
        authorities: Option<&Authorities>,
        limits: FetchLimits,
    ) -> Result<Fetched, FetchError> {
        let until = Instant::now() + limits.total.min(LONGEST);
        let fetched = timeout_at(until, fetch(request, authorities, limits, until));
        fetched.await.unwrap_or(Err(FetchError::TimedOut))
    }
}

async fn fetch(
    request: Request<Bytes>,
    authorities: Option<&Authorities>,
    limits: FetchLimits,
    until: Instant,
) -> Result<Fetched, FetchError> {
    let uri = request.uri().clone();
    let origin = Origin::of(&uri)?;
    let message = Message::new(request, false)?;
    let addresses = origin.addresses().await?;
    let mut error = FetchError::Connect(format!("`{}` has no address", origin.host));
    for (index, &address) in addresses.iter().enumerate() {
        // None takes the time of those that come after it.
        let left = until.saturating_duration_since(Instant::now()) / (addresses.len() - index) as u32;
        let name = origin.is_tls.then_some(origin.host);
        let authorities = authorities.map(Authorities::certificates);
        let peer = peer_of_server(Server { address, name, authorities }, left);
        match ask(&peer, &message, limits, left).await {
            Err(FetchError::Connect(why)) => error = FetchError::Connect(format!("{address}: {why}")),
            result => return result,
        }
    }
    Err(error)
}

async fn ask(
    peer: &HttpPeer,
    message: &Message,
    limits: FetchLimits,
    connect: Duration,
) -> Result<Fetched, FetchError> {
    let connecting = timeout_at(Instant::now() + connect, connector().await?.get_http_session(peer));
    let connected = connecting.await.map_err(|_| FetchError::Connect("no connection in time".to_owned()))?;
    let (mut session, _) = connected.map_err(|error| FetchError::Connect(error.to_string()))?;
    let head = exchange(&mut session, message.head_for_named()?, message.body(), drop).await;
    let head = head.map_err(|error| broken(&error).error)?;
    if is_larger(&head.headers, limits.head) {
        return Err(FetchError::HeadTooLarge(limits.head));
    }
    let body = read_body(&mut session, limits, drop).await;
    let (body, is_whole) = body.map_err(|failure| failure.error)?;
    let (status, mut headers) = (head.status, head.headers.clone());
    strip_connection(&mut headers);
    let endpoint = peer._address.as_inet().map(|address| EndpointAddr::Inet(*address));
    let endpoint = endpoint.ok_or_else(|| FetchError::Connect("no address".to_owned()))?;
    Ok(Fetched { status, headers, body, is_whole, endpoint })
}

impl<'u> Origin<'u> {
    fn of(uri: &'u Uri) -> Result<Self, FetchError> {
        let unsendable = || FetchError::Unsendable("a URL without a server".to_owned());
        let authority: &Authority = uri.authority().ok_or_else(unsendable)?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(unsendable()),
        };
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { host: bare.unwrap_or(host), port, is_tls })
    }

    /// As the system's resolver has them now, in its order.
    async fn addresses(&self) -> Result<SmallVec<[SocketAddr; MOST_ADDRESSES]>, FetchError> {
        let found = lookup_host((self.host, self.port)).await;
        let found = found
            .map_err(|error| FetchError::Connect(format!("`{}` cannot be looked up: {error}", self.host)))?;
        Ok(found.take(MOST_ADDRESSES).collect())
    }
}
