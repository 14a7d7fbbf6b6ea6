use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, Response};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use crate::l4::server::Server;
use crate::support::{Endpoint, Exchange, H2Endpoint, H2Exchange};

/// So many endpoints there are of each kind.
const EACH: usize = 4;
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// The endpoints of all pools.
pub(super) struct Endpoints {
    http: Vec<Endpoint>,
    grpc: Vec<H2Endpoint>,
    tcp: Vec<Server>,
    udp: Vec<Datagrams>,
    posts: Arc<Posts>,
}

/// What was posted, at whichever endpoint.
#[derive(Default)]
pub(super) struct Posts {
    /// The number of each client's last one, and how many there were.
    seen: Mutex<HashMap<u64, (u64, u64)>>,
    wrong: Mutex<Vec<String>>,
}

/// Sends every datagram back to where it came from. It is closed when this is dropped.
struct Datagrams {
    address: SocketAddr,
    serving: AbortHandle,
}

/// Bytes that are like no others, for what each client sends: of that length, from that seed.
pub(super) fn pattern(client: u64, number: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(client << 32 | number).fill(&mut bytes);
    bytes
}

/// What is downloaded.
pub(super) fn blob() -> &'static [u8] {
    static BLOB: OnceLock<Vec<u8>> = OnceLock::new();
    BLOB.get_or_init(|| pattern(0, 0, 1 << 20))
}

impl Endpoints {
    pub(super) async fn start() -> Self {
        let posts = Arc::<Posts>::default();
        let (mut http, mut grpc, mut tcp, mut udp) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..EACH {
            let posts = posts.clone();
            http.push(Endpoint::forgetful(move |exchange| serve(exchange, posts.clone())).await);
            grpc.push(H2Endpoint::scripted(echo).await);
            tcp.push(Server::echo().await);
            udp.push(Datagrams::new().await);
        }
        Self { http, grpc, tcp, udp, posts }
    }

    pub(super) fn http(&self) -> Vec<SocketAddr> {
        self.http.iter().map(Endpoint::address).collect()
    }

    pub(super) fn grpc(&self) -> Vec<SocketAddr> {
        self.grpc.iter().map(H2Endpoint::address).collect()
    }

    pub(super) fn tcp(&self) -> Vec<SocketAddr> {
        self.tcp.iter().map(Server::address).collect()
    }

    pub(super) fn udp(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(|endpoint| endpoint.address).collect()
    }

    pub(super) fn posts(&self) -> &Posts {
        &self.posts
    }
}

impl Posts {
    /// How many there were in all.
    pub(super) fn count(&self) -> u64 {
        self.seen.lock().values().map(|(_, count)| count).sum()
    }

    /// What came twice or damaged.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().clone()
    }

    fn take(&self, client: u64, number: u64, body: &[u8]) {
        let mut seen = self.seen.lock();
        let (last, count) = seen.entry(client).or_default();
        if number <= *last {
            self.wrong.lock().push(format!("number {number} of client {client} came after number {last}"));
        }
        if body != pattern(client, number, body.len()) {
            self.wrong.lock().push(format!("number {number} of client {client} came damaged"));
        }
        (*last, *count) = (number, *count + 1);
    }
}

/// Answers by the path: with the number of the request, with the length of what was posted, with what is to be
/// downloaded, or with a tunnel that echoes.
async fn serve(mut exchange: Exchange, posts: Arc<Posts>) -> Option<Exchange> {
    let field = |name: &str| exchange.request.header(name).and_then(|value| value.parse().ok());
    let (client, number) = (field("x-client").unwrap_or(0), field("x-number").unwrap_or(0));
    let body = match exchange.request.path() {
        "/chat" => return tunnel(exchange).await,
        "/blob" => blob().to_vec(),
        "/posts" => {
            posts.take(client, number, &exchange.request.body);
            format!("{number}: {}", exchange.request.body.len()).into_bytes()
        }
        _ => number.to_string().into_bytes(),
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    // Written at once, or the body would wait for an acknowledgement of the head.
    exchange.send([head.as_bytes(), &body].concat()).await;
    Some(exchange)
}

async fn tunnel(mut exchange: Exchange) -> Option<Exchange> {
    exchange.send(SWITCHED).await;
    let ahead = std::mem::take(&mut exchange.ahead);
    exchange.send(ahead).await;
    let (mut read, mut write) = exchange.stream.split();
    // However it ends, there is nobody left to serve.
    tokio::io::copy(&mut read, &mut write).await.ok();
    None
}

/// A call of gRPC: every message comes back, and the status after the last.
async fn echo(exchange: H2Exchange) {
    let H2Exchange { mut body, mut answer, .. } = exchange;
    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let Ok(mut stream) = answer.send_response(response, false) else { return };
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        // The messages are small, and there is never more than one under way.
        let _ = stream.send_data(piece, false);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let _ = stream.send_trailers(trailers);
}

impl Datagrams {
    async fn new() -> Self {
        let socket = UdpSocket::bind("127.83.1.2:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            loop {
                // That a client is gone is told here, too, and concerns nobody else.
                let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
                let _ = socket.send_to(&buffer[..length], client).await;
            }
        });
        Self { address, serving: serving.abort_handle() }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
