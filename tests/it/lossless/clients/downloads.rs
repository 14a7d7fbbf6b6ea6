use crate::lossless::endpoints::blob;

use super::Assignment;
use super::http1::Http1;

const REQUEST: &str = "GET /blob HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n";
/// What is read at a time, with a rest after it.
const PIECE: usize = 16 * 1024;

/// Downloads that are taken slowly.
pub(super) async fn run(assignment: Assignment) {
    while assignment.goes_on() {
        assignment.tally.note(download(&assignment).await);
    }
}

async fn download(assignment: &Assignment) -> Result<(), String> {
    let mut connection = Http1::connect(assignment.addresses.web).await?;
    connection.send(REQUEST.as_bytes()).await?;
    let head = connection.head(200).await?;
    if head.header("content-length") != Some(&blob().len().to_string()) {
        return Err(format!("another length: {}", head.head));
    }
    for (number, expected) in blob().chunks(PIECE).enumerate() {
        if connection.exactly(expected.len()).await? != expected {
            return Err(format!("piece {number} came damaged"));
        }
        assignment.tally.progress();
        assignment.rest().await;
    }
    Ok(())
}
