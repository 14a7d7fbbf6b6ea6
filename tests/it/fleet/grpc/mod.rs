//! gRPC: what endpoints and clients of it see of each other through the edge.

mod bridge;
mod calls;
mod canary;
mod deadlines;
mod errors;
mod outliers;
mod streams;
mod trailers;

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::support::{Edge, H2Endpoint, H2Exchange, PATIENCE, eventually};

/// A configuration with one pool of endpoints that speak HTTP/2, with further keys, and these routes.
fn grpc_routes(listener: &str, pool: &str, endpoints: &[&Service], routes: &str) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|service| service.endpoint.address().to_string()).collect();
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0, {listener} }} }}\n\
         pools: {{ app: {{ protocol: h2c, {pool} endpoints: [{}] }} }}\n\
         routes: [{routes}]\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoints.join(", ")
    )
}

/// The same with one route for everything.
fn grpc_fleet(pool: &str, endpoints: &[&Service]) -> String {
    grpc_routes("", pool, endpoints, "{ pool: app }")
}

// === The endpoint ===

type Resets = Arc<Mutex<Vec<Option<Reason>>>>;

/// A server of gRPC. Its methods are `/test/NAME` or `/test/NAME/STATUS`.
struct Service {
    endpoint: H2Endpoint,
    /// How calls were broken off: by a reset, or with their connection.
    resets: Resets,
}

impl Service {
    /// One that ends all calls with this status, after a message or without.
    async fn failing(method: &'static str, code: u16) -> Self {
        let endpoint = H2Endpoint::scripted(move |exchange| async move {
            end_with(exchange, method, &code.to_string(), &Resets::default()).await;
        });
        Self { endpoint: endpoint.await, resets: Resets::default() }
    }

    async fn start() -> Self {
        let resets = Resets::default();
        let seen = resets.clone();
        let endpoint = H2Endpoint::scripted(move |exchange| serve(exchange, seen.clone())).await;
        Self { endpoint, resets }
    }

    /// The head of the last call.
    fn last(&self) -> Request<()> {
        self.endpoint.heads().pop().unwrap()
    }

    fn calls(&self) -> usize {
        self.endpoint.heads().len()
    }

    async fn is_cancelled(&self) {
        eventually("the call is broken off", async || !self.resets.lock().is_empty()).await;
        assert_eq!(*self.resets.lock(), [Some(Reason::CANCEL)]);
    }

    /// The same, where the connection may have ended too, since nobody else used it.
    async fn is_broken_off(&self) {
        let is_over = async || !self.resets.lock().is_empty() || self.endpoint.open_connections() == 0;
        eventually("the call is broken off", is_over).await;
    }
}

async fn serve(exchange: H2Exchange, resets: Resets) {
    let path = exchange.path().to_owned();
    let mut parts = path.split('/').skip(2);
    let (method, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("0"));
    end_with(exchange, method, code, &resets).await;
}

async fn end_with(mut exchange: H2Exchange, method: &str, code: &str, resets: &Resets) {
    match method {
        "Fail" => drop(exchange.begin(trailers_only(code), true)),
        "Hang" => {
            let reason = poll_fn(|cx| exchange.answer.poll_reset(cx)).await;
            resets.lock().push(reason.ok());
        }
        "Reset" => exchange.reset(Reason::INTERNAL_ERROR),
        _ => answer(method, code, exchange, resets).await,
    }
}

/// Answers with messages and trailers.
async fn answer(method: &str, code: &str, exchange: H2Exchange, resets: &Resets) {
    let H2Exchange { head, body, mut answer, .. } = exchange;
    let mut inbox = Inbox::new(body);
    let mut response = Response::builder().header("content-type", "application/grpc");
    for (name, value) in head.headers().iter().filter(|(name, _)| name.as_str().starts_with("x-")) {
        response = response.header(format!("{name}-back"), value);
    }
    let Ok(mut stream) = answer.send_response(response.body(()).unwrap(), false) else { return };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers.insert("grpc-message", "all%20is%20told".parse().unwrap());
    trailers.insert("trace-bin", "AAEC".parse().unwrap());
    match method {
        // The same back, message by message.
        "Echo" => {
            while let Some(message) = inbox.next().await {
                send_message(&mut stream, &message).await;
            }
        }
        // The number of messages, after the last of them.
        "Count" => {
            let mut count: u32 = 0;
            while inbox.next().await.is_some() {
                count += 1;
            }
            send_message(&mut stream, count.to_string().as_bytes()).await;
        }
        "Three" => {
            for message in ["one", "two", "three"] {
                send_message(&mut stream, message.as_bytes()).await;
            }
        }
        // A message, and then nothing for as long as the client stays.
        "Rest" => {
            send_message(&mut stream, b"wait").await;
            let reason = poll_fn(|cx| stream.poll_reset(cx)).await;
            resets.lock().push(reason.ok());
            return;
        }
        // Breaks off within the answer.
        "Break" => {
            send_message(&mut stream, b"half").await;
            // The client has the message before the break, which would overtake it.
            inbox.next().await;
            return stream.send_reset(Reason::INTERNAL_ERROR);
        }
        _ => send_message(&mut stream, b"late").await,
    }
    let _ = stream.send_trailers(trailers);
}

fn trailers_only(code: &str) -> Response<()> {
    let response = Response::builder().header("content-type", "application/grpc");
    response.header("grpc-status", code).header("grpc-message", "no").body(()).unwrap()
}

// === Messages ===

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put(message);
    frame.freeze()
}

/// Sends a message as the window of the other side opens.
async fn send_message(stream: &mut SendStream<Bytes>, message: &[u8]) {
    let mut frame = frame(message);
    while frame.has_remaining() {
        stream.reserve_capacity(frame.len());
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        let piece = frame.split_to(room.min(frame.len()));
        // Whoever is gone gets nothing.
        let _ = stream.send_data(piece, false);
    }
}

/// The messages that come on a stream.
struct Inbox {
    body: RecvStream,
    read: BytesMut,
}

impl Inbox {
    fn new(body: RecvStream) -> Self {
        Self { body, read: BytesMut::new() }
    }

    /// The next message; `None` at the end, or when the stream breaks.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(mut head) = self.read.get(1..5) {
                let length = head.get_u32() as usize;
                if self.read.len() >= 5 + length {
                    return Some(self.read.split_to(5 + length)[5..].to_vec());
                }
            }
            let piece = self.body.data().await?.ok()?;
            let _ = self.body.flow_control().release_capacity(piece.len());
            self.read.extend_from_slice(&piece);
        }
    }
}

// === The client ===

/// A client of gRPC with one connection.
struct Caller {
    requests: SendRequest<Bytes>,
    connection: AbortHandle,
}

/// A call that runs.
struct Call {
    sending: SendStream<Bytes>,
    answer: Option<ResponseFuture>,
    head: Option<Response<()>>,
    inbox: Option<Inbox>,
}

/// How a call ended.
#[derive(Debug)]
struct Ended {
    head: Response<()>,
    messages: Vec<Vec<u8>>,
    /// Those after the messages, or the head where it is all that there is.
    trailers: HeaderMap,
    is_trailers_only: bool,
}

impl Caller {
    async fn connect(edge: &Edge) -> Self {
        let stream = TcpStream::connect(edge.address()).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Self { requests, connection }
    }

    async fn begin(&self, method: &str, headers: &[(&str, &str)]) -> Call {
        self.ask(method, "application/grpc", headers).await
    }

    async fn ask(&self, method: &str, media_type: &str, headers: &[(&str, &str)]) -> Call {
        let uri = format!("http://grpc.example/test/{method}");
        let mut request = Request::post(uri).header("content-type", media_type).header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (answer, sending) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        Call { sending, answer: Some(answer), head: None, inbox: None }
    }

    /// A call with one message.
    async fn call(&self, method: &str, headers: &[(&str, &str)], message: &[u8]) -> Ended {
        let mut call = self.begin(method, headers).await;
        call.send(message).await;
        call.end();
        call.ended().await
    }

    /// The status of a call with one message.
    async fn status(&self, method: &str) -> u16 {
        self.call(method, &[], b"hi").await.status()
    }

    /// Closes the connection as it is.
    fn leave(self) {
        self.connection.abort();
    }
}

impl Call {
    async fn send(&mut self, message: &[u8]) {
        send_message(&mut self.sending, message).await;
    }

    fn end(&mut self) {
        // The edge may have answered already.
        let _ = self.sending.send_data(Bytes::new(), true);
    }

    fn cancel(&mut self) {
        self.sending.send_reset(Reason::CANCEL);
    }

    /// Waits for the head of the answer.
    async fn head(&mut self) -> &Response<()> {
        if let Some(answer) = self.answer.take() {
            let response = timeout(PATIENCE, answer).await.expect("is answered in time").unwrap();
            let (parts, body) = response.into_parts();
            self.head = Some(Response::from_parts(parts, ()));
            self.inbox = Some(Inbox::new(body));
        }
        self.head.as_ref().unwrap()
    }

    async fn message(&mut self) -> Option<Vec<u8>> {
        self.head().await;
        timeout(PATIENCE, self.inbox.as_mut().unwrap().next()).await.expect("goes on in time")
    }

    async fn ended(mut self) -> Ended {
        self.head().await;
        let is_trailers_only = self.inbox.as_ref().unwrap().body.is_end_stream();
        let mut messages = Vec::new();
        while let Some(message) = self.message().await {
            messages.push(message);
        }
        let mut body = self.inbox.unwrap().body;
        let trailers = timeout(PATIENCE, body.trailers()).await.expect("ends in time").unwrap();
        let head = self.head.unwrap();
        let trailers = trailers.unwrap_or_else(|| head.headers().clone());
        Ended { head, messages, trailers, is_trailers_only }
    }
}

impl Ended {
    fn status(&self) -> u16 {
        assert_eq!(self.head.status(), StatusCode::OK);
        assert_eq!(self.head.headers()["content-type"], "application/grpc");
        self.trailers["grpc-status"].to_str().unwrap().parse().unwrap()
    }
}
