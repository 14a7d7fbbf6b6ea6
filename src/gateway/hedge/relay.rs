use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode};
use pingora_core::Error;
use pingora_http::ResponseHeader;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::pools::Streamed;
use crate::types::put_head;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// By what the endpoint says in the head, or by the end of the connection.
    AsItIs,
    Chunks,
    /// There is none.
    Nothing,
}

/// Writes an answer as HTTP/1.1, to its end or until nobody reads it any more.
///
/// # Errors
/// When the endpoint breaks it off.
pub(super) async fn relay(
    mut answer: Streamed,
    method: &Method,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Box<Error>> {
    let framing = framing(&mut answer, method)?;
    if to.write_all(&head_lines(&answer.head)).await.is_err() {
        return Ok(());
    }
    if framing == Framing::Nothing {
        // Over HTTP/2 the end of the stream may come by itself.
        while answer.piece().await?.is_some() {}
        answer.release();
        return Ok(());
    }
    while let Some(piece) = answer.piece().await? {
        let is_written = match framing {
            _ if piece.is_empty() => Ok(()),
            Framing::Chunks => write_chunk(&piece, to).await,
            _ => to.write_all(&piece).await,
        };
        if is_written.is_err() {
            return Ok(());
        }
    }
    // Before whoever reads learns that this is the end, and closes the pipe.
    answer.release();
    if framing == Framing::Chunks {
        // A reader that is gone needs no end.
        let _ = to.write_all(b"0\r\n\r\n").await;
    }
    Ok(())
}

async fn write_chunk(piece: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    to.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
    to.write_all(piece).await?;
    to.write_all(b"\r\n").await
}

/// Over HTTP/2 a body needs no length, and over HTTP/1 its end is told then by chunks.
fn framing(answer: &mut Streamed, method: &Method) -> Result<Framing, Box<Error>> {
    let is_h2 = answer.is_h2();
    let head = &mut answer.head;
    let has_none = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if *method == Method::HEAD || has_none {
        return Ok(Framing::Nothing);
    }
    if is_h2 && !head.headers.contains_key(CONTENT_LENGTH) {
        head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    let is_chunked = head.headers.contains_key(TRANSFER_ENCODING);
    Ok(if is_chunked { Framing::Chunks } else { Framing::AsItIs })
}

fn head_lines(head: &ResponseHeader) -> Vec<u8> {
    let mut lines = Vec::with_capacity(512);
    put_head(head, &mut lines);
    lines.extend_from_slice(b"\r\n");
    lines
}
