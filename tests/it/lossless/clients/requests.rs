use crate::support::Response;

use super::Assignment;
use super::http1::{Http1, connect, secure, stays};

/// One request after the other on a connection, for as long as the server keeps it.
pub(super) async fn keep_alive(assignment: Assignment) {
    let (mut kept, mut number) = (None, 0);
    while assignment.goes_on() {
        number += 1;
        assignment.tally.note(on_kept(&assignment, &mut kept, number).await);
        assignment.rest().await;
    }
}

async fn on_kept(assignment: &Assignment, kept: &mut Option<Http1>, number: u64) -> Result<(), String> {
    let mut connection = match kept.take().filter(Http1::is_at_rest) {
        Some(connection) => connection,
        None => Http1::connect(assignment.addresses.web).await?,
    };
    let response = connection.ask(get(number, "").as_bytes()).await?;
    *kept = stays(&response).then_some(connection);
    belongs(&response, number)
}

/// A connection for each request.
pub(super) async fn connections(assignment: Assignment) {
    let mut number = 0;
    while assignment.goes_on() {
        number += 1;
        let asked = async {
            let mut connection = Http1::over(connect(assignment.addresses.web).await?);
            belongs(&connection.ask(get(number, "Connection: close\r\n").as_bytes()).await?, number)
        };
        assignment.tally.note(asked.await);
        assignment.rest().await;
    }
}

/// The same over TLS.
pub(super) async fn handshakes(assignment: Assignment) {
    let mut number = 0;
    while assignment.goes_on() {
        number += 1;
        let asked = async {
            let stream = secure(assignment.addresses.secure, &assignment.trust.http1).await?;
            let mut connection = Http1::over(stream);
            belongs(&connection.ask(get(number, "Connection: close\r\n").as_bytes()).await?, number)
        };
        assignment.tally.note(asked.await);
        assignment.rest().await;
    }
}

fn get(number: u64, more: &str) -> String {
    format!("GET /app/{number} HTTP/1.1\r\nHost: site.example\r\nX-Number: {number}\r\n{more}\r\n")
}

/// That it answers the request with this number, and no other.
fn belongs(response: &Response, number: u64) -> Result<(), String> {
    if response.body == number.to_string().as_bytes() {
        return Ok(());
    }
    Err(format!("number {number} was answered with {}", response.body.escape_ascii()))
}
