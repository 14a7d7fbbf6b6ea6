use bytes::Bytes;
use futures::future::join_all;
use h2::Reason;
use h2::client::SendRequest;
use http::{Request, Version};

use super::http1::secure;
use super::{Assignment, in_time};

/// So many requests are under way at once on each connection.
const AT_ONCE: u64 = 4;

/// What became of a request.
enum Fate {
    Answered,
    /// The server has told that it did not begin with it, so that it may be sent again.
    NotBegun,
    Failed(String),
}

/// Requests beside each other on a connection over TLS, for as long as the server keeps it.
pub(super) async fn run(assignment: Assignment) {
    let (mut kept, mut number) = (None, 0);
    while assignment.goes_on() {
        match connection(&assignment, kept.take()).await {
            Err(text) => assignment.tally.failure(text),
            Ok(requests) => {
                let asked = (1..=AT_ONCE).map(|one| ask(requests.clone(), number + one));
                let fates = join_all(asked).await;
                kept = fates.iter().all(|fate| matches!(fate, Fate::Answered)).then_some(requests);
                fates.into_iter().for_each(|fate| note(&assignment, fate));
                number += AT_ONCE;
            }
        }
        assignment.rest().await;
    }
}

fn note(assignment: &Assignment, fate: Fate) {
    match fate {
        Fate::Answered => assignment.tally.success(),
        Fate::NotBegun => assignment.tally.repeated(),
        Fate::Failed(text) => assignment.tally.failure(text),
    }
}

/// The connection that was kept, if it still takes requests, or a new one.
async fn connection(
    assignment: &Assignment,
    kept: Option<SendRequest<Bytes>>,
) -> Result<SendRequest<Bytes>, String> {
    if let Some(kept) = kept
        && let Ok(kept) = in_time("beginning", kept.ready()).await
    {
        return Ok(kept);
    }
    let stream = secure(assignment.addresses.secure, &assignment.trust.http2).await?;
    let (requests, connection) = in_time("greeting", h2::client::handshake(stream)).await?;
    // It ends once nobody can begin a request, or the server has enough.
    tokio::spawn(async move { drop(connection.await) });
    Ok(requests)
}

async fn ask(requests: SendRequest<Bytes>, number: u64) -> Fate {
    let Ok(mut requests) = requests.ready().await else { return Fate::NotBegun };
    let request = Request::get(format!("https://site.example/app/{number}")).version(Version::HTTP_2);
    let request = request.header("x-number", number).body(()).unwrap();
    let Ok((response, _)) = requests.send_request(request, true) else { return Fate::NotBegun };
    let heard = async {
        let response = response.await?;
        let (status, mut body, mut heard) = (response.status(), response.into_body(), Vec::new());
        while let Some(piece) = body.data().await.transpose()? {
            body.flow_control().release_capacity(piece.len())?;
            heard.extend_from_slice(&piece);
        }
        Ok::<_, h2::Error>((status, heard))
    };
    let heard = async { Ok::<_, String>(heard.await) };
    match in_time("answer", heard).await {
        Ok(Ok((status, heard))) if status == 200 && heard == number.to_string().as_bytes() => Fate::Answered,
        Ok(Ok((status, heard))) => {
            Fate::Failed(format!("number {number} was answered with {status} {}", heard.escape_ascii()))
        }
        Ok(Err(error)) if is_not_begun(&error) => Fate::NotBegun,
        Ok(Err(error)) => Fate::Failed(error.to_string()),
        Err(text) => Fate::Failed(text),
    }
}

/// RFC 9113 §6.8 and §8.7: such requests are safe to send again.
fn is_not_begun(error: &h2::Error) -> bool {
    let left_out = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (left_out || refused)
}
