use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// An endpoint that speaks HTTP/2, by prior knowledge or over TLS, and answers each request by a script. It ends, with
/// all its connections, when it is dropped.
pub struct H2Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// How it speaks.
#[derive(Clone)]
pub struct H2Settings {
    /// Without it, HTTP/2 comes by prior knowledge. Its protocols have to name `h2`.
    pub tls: Option<Arc<ServerConfig>>,
    /// How many requests a connection may have at once.
    pub streams: u32,
    /// How much of a body is taken before it is read.
    pub window: u32,
}

/// A request, and the stream that it is answered on.
pub struct H2Exchange {
    pub head: Request<()>,
    pub body: RecvStream,
    pub answer: SendResponse<Bytes>,
    /// The connection that it came on: 1, 2 and so on.
    pub connection: usize,
}

/// What an endpoint's connections have in common.
struct Shared {
    settings: H2Settings,
    heads: Mutex<Vec<Request<()>>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    /// So often connections were told to end.
    go_away: watch::Sender<usize>,
    cut: watch::Sender<usize>,
}

impl Default for H2Settings {
    fn default() -> Self {
        Self { tls: None, streams: 100, window: 65_535 }
    }
}

impl H2Endpoint {
    /// Answers every request, once it has ended, with 200 and this body, by prior knowledge.
    pub async fn answering(body: &'static str) -> Self {
        Self::scripted(move |mut exchange| async move {
            exchange.read().await;
            exchange.reply(200, body);
        })
        .await
    }

    /// Hands every request to `script`, by prior knowledge.
    pub async fn scripted<F>(script: impl Fn(H2Exchange) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(H2Settings::default(), script).await
    }

    /// The same over TLS.
    pub async fn secured<F>(
        tls: Arc<ServerConfig>,
        script: impl Fn(H2Exchange) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(H2Settings { tls: Some(tls), ..H2Settings::default() }, script).await
    }

    /// The same with settings of the test's own.
    pub async fn with<F>(
        settings: H2Settings,
        script: impl Fn(H2Exchange) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            settings,
            heads: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            go_away: watch::Sender::new(0),
            cut: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone(), Arc::new(script))).abort_handle();
        Self { address, shared, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<Request<()>> {
        self.shared.heads.lock().clone()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// How many of them are still there.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::Acquire)
    }

    /// Ends all connections politely: by GOAWAY, after the requests that run.
    pub fn go_away(&self) {
        self.shared.go_away.send_modify(|times| *times += 1);
    }

    /// Closes all connections as they are.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|times| *times += 1);
    }
}

impl Drop for H2Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl H2Exchange {
    pub fn path(&self) -> &str {
        self.head.uri().path()
    }

    /// Reads the body to its end, and the trailers, if any; what came of a body that broke.
    pub async fn read(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let mut body = Vec::new();
        while let Some(Ok(piece)) = self.body.data().await {
            let _ = self.body.flow_control().release_capacity(piece.len());
            body.extend_from_slice(&piece);
        }
        (body, self.body.trailers().await.unwrap_or_default())
    }

    /// Answers with a whole response.
    pub fn reply(&mut self, status: u16, body: impl Into<Bytes>) {
        let body = body.into();
        let response = Response::builder().status(status).body(()).unwrap();
        if let Some(mut stream) = self.begin(response, body.is_empty()) {
            // The edge may have gone away; scripts do not care.
            let _ = (!body.is_empty()).then(|| stream.send_data(body, true));
        }
    }

    /// Sends the head of a response; `end` says that nothing follows.
    pub fn begin(&mut self, response: Response<()>, end: bool) -> Option<SendStream<Bytes>> {
        self.answer.send_response(response, end).ok()
    }

    /// Breaks the stream off.
    pub fn reset(&mut self, reason: h2::Reason) {
        self.answer.send_reset(reason);
    }
}

async fn accept<F>(
    listener: TcpListener,
    shared: Arc<Shared>,
    script: Arc<impl Fn(H2Exchange) -> F + Send + Sync + 'static>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    // Its end, with that of the endpoint, ends the connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        connections.spawn(serve(stream, shared.clone(), script.clone()));
    }
}

async fn serve<F>(
    stream: TcpStream,
    shared: Arc<Shared>,
    script: Arc<impl Fn(H2Exchange) -> F + Send + Sync + 'static>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    match shared.settings.tls.clone() {
        None => speak(stream, shared, script).await,
        Some(tls) => {
            let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is what was agreed on");
            speak(stream, shared, script).await;
        }
    }
}

/// Serves a connection until either side has enough.
async fn speak<S, F>(
    stream: S,
    shared: Arc<Shared>,
    script: Arc<impl Fn(H2Exchange) -> F + Send + Sync + 'static>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = ()> + Send + 'static,
{
    let number = shared.connections.fetch_add(1, Ordering::AcqRel) + 1;
    shared.open.fetch_add(1, Ordering::AcqRel);
    let _open = Open(shared.clone());
    let (mut go_away, mut cut) = (shared.go_away.subscribe(), shared.cut.subscribe());
    let mut builder = Builder::new();
    let H2Settings { streams, window, .. } = shared.settings;
    builder
        .max_concurrent_streams(streams)
        .initial_window_size(window)
        .initial_connection_window_size(1 << 20);
    let Ok(mut connection): Result<Connection<S, Bytes>, _> = builder.handshake(stream).await else { return };
    let mut scripts = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            Ok(()) = go_away.changed() => {
                connection.graceful_shutdown();
                continue;
            }
            Ok(()) = cut.changed() => return,
        };
        let Some(Ok((request, answer))) = accepted else { return };
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        shared.heads.lock().push(head.clone());
        scripts.spawn(script(H2Exchange { head, body, answer, connection: number }));
    }
}

/// A connection, counted until this is dropped.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
