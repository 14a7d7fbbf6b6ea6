use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use pingora_core::protocols::Stream;
use pingora_core::{Error, Result};

use super::failure::unhealthy;

const LONGEST_HEADERS: u32 = 16 * 1024;

/// Speaks HTTP/2 on a new connection for as long as `call` takes.
pub(super) async fn speak(
    stream: Stream,
    call: impl AsyncFnOnce(SendRequest<Bytes>) -> Result<String>,
) -> Result<String> {
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(LONGEST_HEADERS);
    let (sender, connection) = builder.handshake(stream).await.map_err(not_http2)?;
    let answer = async { call(sender.ready().await.map_err(not_http2)?).await };
    tokio::select! {
        biased;
        answer = answer => answer,
        // Drives the call; that it ends before the call says why there is no answer.
        ended = connection => Err(match ended {
            Ok(()) => unhealthy("the connection was closed before the answer was complete"),
            Err(error) => not_http2(error),
        }),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped with it")]
pub(super) fn not_http2(error: h2::Error) -> Box<Error> {
    unhealthy(format!("no answer over HTTP/2: {error}"))
}
