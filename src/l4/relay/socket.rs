use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::io::AsyncWrite;

use crate::net::{Socket, Transport};

/// Closes a connection with a clean end; TLS says so as far as that is possible without waiting.
pub(super) fn close(mut transport: Transport) {
    if Socket::plain(&transport).is_none() {
        let _ = Pin::new(&mut transport).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
    drop(transport);
}
