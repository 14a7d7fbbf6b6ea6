use std::{net::TcpListener, thread};

use tokio::{
    io,
    net::{self, TcpStream},
    runtime::Builder,
};

use crate::support::Outcome;

/// Sends back what comes on any connection, up to its end.
pub(super) fn serve(listeners: Vec<TcpListener>) -> Outcome<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        tokio::spawn(accept(net::TcpListener::from_std(listener)?));
    }
    drop(entered);
    let run = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("echo".to_owned()).spawn(run)?;
    Ok(())
}

async fn accept(listener: net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(send_back(stream));
    }
}

/// An error means that the proxy has given the connection up, which its client notices.
async fn send_back(mut stream: TcpStream) {
    let (mut incoming, mut outgoing) = stream.split();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = io::AsyncReadExt::read(&mut incoming, &mut buffer).await {
        let read = buffer.get(..length).unwrap_or_default();
        if io::AsyncWriteExt::write_all(&mut outgoing, read).await.is_err() {
            return;
        }
    }
}
