use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// An endpoint that answers each request by a script. It ends, with all its connections, when it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    accepting: AbortHandle,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

/// What an endpoint remembers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Requests,
    Nothing,
}

/// A request as the endpoint got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request line and the fields, as they came.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn path(&self) -> &str {
        self.line().split(' ').nth(1).unwrap()
    }

    /// Whether it is a health check.
    pub fn is_probe(&self) -> bool {
        self.header("user-agent") == Some("evener-health-check")
    }

    /// The value of the first field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// The values of all fields of that name.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

/// A request and the connection that it came on, for scripts that do more than answer with one text.
pub struct Exchange {
    pub request: Request,
    pub stream: TcpStream,
    /// Read from the stream beyond the request.
    pub ahead: Vec<u8>,
}

impl Exchange {
    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        // The edge may have gone away; scripts do not care.
        let _ = self.stream.write_all(text.as_ref()).await;
    }
}

impl Endpoint {
    /// Answers every request with 200 and this body, keeping connections.
    pub async fn answering(body: &'static str) -> Self {
        Self::with(move |_| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
    }

    /// Answers every request with the whole text that `answer` makes of it, keeping connections.
    pub async fn with(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::scripted(move |mut exchange| {
            let answer = answer.clone();
            async move {
                let text = answer(&exchange.request);
                exchange.send(text).await;
                Some(exchange)
            }
        })
        .await
    }

    /// Sends this text after the head of every request; if it is a whole answer, without reading the body.
    pub async fn speaking_first<F>(
        first: &'static str,
        script: impl Fn(Exchange) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Exchange>> + Send + 'static,
    {
        Self::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), first, Memory::Requests, script)
    }

    /// Answers one request for each permit, and probes at once.
    pub async fn held() -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let script_gate = gate.clone();
        let endpoint = Self::scripted(move |mut exchange| {
            let gate = script_gate.clone();
            async move {
                if !exchange.request.is_probe() {
                    gate.acquire().await.unwrap().forget();
                }
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                Some(exchange)
            }
        })
        .await;
        (endpoint, gate)
    }

    /// Takes every request and never answers.
    pub async fn silent() -> Self {
        Self::scripted(|exchange| async move {
            std::future::pending::<()>().await;
            Some(exchange)
        })
        .await
    }

    /// Hands every request to `script`, which gives the connection back for the next one or ends it.
    pub async fn scripted<F>(script: impl Fn(Exchange) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Exchange>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, script)
    }

    /// The same on a socket that the test has bound.
    pub fn on<F>(listener: TcpListener, script: impl Fn(Exchange) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Exchange>> + Send + 'static,
    {
        Self::start(listener, "", Memory::Requests, script)
    }

    /// Hands every request to `script` and remembers none, however many there are.
    pub async fn forgetful<F>(script: impl Fn(Exchange) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Exchange>> + Send + 'static,
    {
        Self::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), "", Memory::Nothing, script)
    }

    fn start<F>(
        listener: TcpListener,
        first: &'static str,
        memory: Memory,
        script: impl Fn(Exchange) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Exchange>> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let connections: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let script = Arc::new(script);
        let (seen, open) = (requests.clone(), connections.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (script.clone(), seen.clone());
                let connection = tokio::spawn(async move {
                    let mut next = Some((stream, Vec::new()));
                    while let Some((stream, ahead)) = next.take() {
                        let Some(exchange) = read(stream, ahead, first).await else { return };
                        if memory == Memory::Requests {
                            seen.lock().push(exchange.request.clone());
                        }
                        next = script(exchange).await.map(|exchange| (exchange.stream, exchange.ahead));
                    }
                });
                open.lock().push(connection.abort_handle());
            }
        });
        Self { address, requests, accepting: accepting.abort_handle(), connections }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, without health checks.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().iter().filter(|request| !request.is_probe()).cloned().collect()
    }

    /// The health checks so far.
    pub fn probes(&self) -> Vec<Request> {
        self.requests.lock().iter().filter(|request| request.is_probe()).cloned().collect()
    }

    /// The last request.
    pub fn last(&self) -> Request {
        self.requests().pop().expect("a request came")
    }

    /// Closes all connections that are open, and keeps accepting.
    pub fn cut(&self) {
        self.connections.lock().drain(..).for_each(|connection| connection.abort());
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// Reads one request with its body; `None` at the end of the connection.
async fn read(mut stream: TcpStream, mut bytes: Vec<u8>, first: &str) -> Option<Exchange> {
    let head_end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes.drain(..head_end).collect()).unwrap();
    let mut request = Request { head, body: Vec::new() };
    stream.write_all(first.as_bytes()).await.ok()?;
    if !first.is_empty() && !first.starts_with("HTTP/1.1 1") {
        return Some(Exchange { request, stream, ahead: bytes });
    }
    if request.header("transfer-encoding").is_some() {
        request.body = read_chunks(&mut stream, &mut bytes).await?;
    } else if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().unwrap();
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        request.body = bytes.drain(..length).collect();
    }
    Some(Exchange { request, stream, ahead: bytes })
}

/// Reads a chunked body without trailers; `None` when the connection ends within it.
async fn read_chunks(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            match find(bytes, b"\r\n") {
                Some(at) => break at + 2,
                None if stream.read_buf(bytes).await.ok()? == 0 => return None,
                None => {}
            }
        };
        let size = std::str::from_utf8(&bytes[..line_end - 2]).unwrap().to_owned();
        let size = usize::from_str_radix(&size, 16).unwrap();
        bytes.drain(..line_end);
        while bytes.len() < size + 2 {
            if stream.read_buf(bytes).await.ok()? == 0 {
                return None;
            }
        }
        body.extend(bytes.drain(..size));
        assert_eq!(bytes.drain(..2).as_slice(), b"\r\n");
        if size == 0 {
            return Some(body);
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
