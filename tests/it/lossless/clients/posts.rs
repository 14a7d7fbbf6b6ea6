use crate::lossless::endpoints::pattern;

use super::Assignment;
use super::http1::{Http1, stays};

/// Posts, which nobody may repeat, on a connection that is kept: each says its number and has a body of its own.
pub(super) async fn run(assignment: Assignment) {
    let (mut kept, mut number) = (None, 0);
    while assignment.goes_on() {
        number += 1;
        assignment.tally.note(post(&assignment, &mut kept, number).await);
        assignment.rest().await;
    }
}

async fn post(assignment: &Assignment, kept: &mut Option<Http1>, number: u64) -> Result<(), String> {
    let mut connection = match kept.take().filter(Http1::is_at_rest) {
        Some(connection) => connection,
        None => Http1::connect(assignment.addresses.web).await?,
    };
    let length =
        pattern(assignment.number, number, 2).iter().fold(1, |sum, byte| sum * (1 + usize::from(*byte)));
    let body = pattern(assignment.number, number, length);
    let chunked = number.is_multiple_of(3);
    let framing =
        if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {length}") };
    let head = format!(
        "POST /posts HTTP/1.1\r\nHost: site.example\r\nX-Client: {}\r\nX-Number: {number}\r\n{framing}\r\n\r\n",
        assignment.number
    );
    connection.send(head.as_bytes()).await?;
    for half in [&body[..length / 2], &body[length / 2..]] {
        // What changes meanwhile finds some in the middle of their bodies.
        if number.is_multiple_of(4) {
            assignment.rest().await;
        }
        match chunked && !half.is_empty() {
            true => connection.send(&chunk(half)).await?,
            false => connection.send(half).await?,
        }
    }
    if chunked {
        connection.send(b"0\r\n\r\n").await?;
    }
    let response = connection.answer().await?;
    *kept = stays(&response).then_some(connection);
    let expected = format!("{number}: {length}");
    if response.body == expected.as_bytes() {
        return Ok(());
    }
    Err(format!("answered with {} and not {expected}", response.body.escape_ascii()))
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
