use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// An endpoint that does with each connection what a script says. It ends, with all its connections, when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    accepting: AbortHandle,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

/// Counts a connection for as long as it is open.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    pub(super) async fn with<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    /// The same on a socket that the test has bound.
    pub(super) fn on<F>(listener: TcpListener, script: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let (accepted, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let connections: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let (all, now, handles) = (accepted.clone(), open.clone(), connections.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                all.fetch_add(1, Ordering::Relaxed);
                now.fetch_add(1, Ordering::Relaxed);
                let (served, open) = (script(stream), Open(now.clone()));
                let connection = tokio::spawn(async move {
                    let _open = open;
                    served.await;
                });
                handles.lock().push(connection.abort_handle());
            }
        });
        Self { address, accepted, open, accepting: accepting.abort_handle(), connections }
    }

    /// Sends back what it gets, to the end of it.
    pub(crate) async fn echo() -> Self {
        Self::with(echo).await
    }

    /// Says its name and then sends back what it gets.
    pub(super) async fn named(name: u8) -> Self {
        Self::with(move |stream| greet(stream, name)).await
    }

    /// Breaks every connection at once.
    pub(super) async fn resetting() -> Self {
        Self::with(async |stream| stream.set_zero_linger().unwrap()).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections at this moment.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.connections.lock().drain(..).for_each(|connection| connection.abort());
    }
}

pub(super) async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    // However it ends, there is nobody left to serve.
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        let _ = write.shutdown().await;
    }
}

pub(super) async fn greet(mut stream: TcpStream, name: u8) {
    if stream.write_all(&[name]).await.is_ok() {
        echo(stream).await;
    }
}

/// Reads to the end and says nothing.
pub(super) async fn listen(mut stream: TcpStream) {
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
}

/// An endpoint that never answers: the queue of its connections is full, so that the kernel drops whoever comes.
pub(super) struct Deaf {
    address: SocketAddr,
    _socket: Socket,
    _waiting: Vec<TcpStream>,
}

impl Deaf {
    pub(super) async fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        let soon = Duration::from_millis(200);
        while let Ok(connected) = timeout(soon, TcpStream::connect(address)).await {
            waiting.push(connected.unwrap());
        }
        Self { address, _socket: socket, _waiting: waiting }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}
