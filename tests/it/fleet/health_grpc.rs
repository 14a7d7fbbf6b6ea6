use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::support::{Endpoint, eventually};

use super::health::{PACE, spied};

/// What a server answers to a call of its health service.
#[derive(Clone, Copy)]
enum Answer {
    /// This status of the service, in a message and trailers.
    Status(u8),
    /// An error, in trailers alone.
    Error(&'static str),
    /// More than an answer can be long.
    Endless,
    /// No gRPC.
    NotFound,
}

/// A call as the server got it.
#[derive(Clone)]
struct Call {
    head: Request<()>,
    body: Vec<u8>,
}

type Calls = Arc<Mutex<Vec<Call>>>;

async fn serving(answer: Answer) -> (SocketAddr, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Calls::default();
    let seen = calls.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let calls = seen.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(take(request, respond, answer, calls.clone()));
                }
            });
        }
    });
    (address, calls)
}

async fn take(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    answer: Answer,
    calls: Calls,
) -> Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        body.extend_from_slice(&chunk?);
    }
    calls.lock().push(Call { head: Request::from_parts(head, ()), body });
    let head = Response::builder().header("content-type", "application/grpc");
    match answer {
        Answer::Status(status) => {
            let mut stream = respond.send_response(head.body(()).unwrap(), false)?;
            stream.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 0x08, status]), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            stream.send_trailers(trailers)
        }
        Answer::Error(code) => {
            let head = head.header("grpc-status", code).body(()).unwrap();
            respond.send_response(head, true).map(drop)
        }
        Answer::Endless => {
            let mut stream = respond.send_response(head.body(()).unwrap(), false)?;
            stream.send_data(Bytes::from(vec![0; 32 * 1024]), false)?;
            std::future::pending().await
        }
        Answer::NotFound => {
            let head = Response::builder().status(404).body(()).unwrap();
            respond.send_response(head, true).map(drop)
        }
    }
}

#[tokio::test]
async fn only_serving_is_good() {
    let answers = [
        Answer::Status(1),
        Answer::Status(2),
        Answer::Status(0),
        // Unimplemented, and a service that is not known.
        Answer::Error("12"),
        Answer::Error("5"),
        Answer::Endless,
        Answer::NotFound,
    ];
    let mut servers = Vec::new();
    for answer in answers {
        servers.push(serving(answer).await);
    }
    let http1 = Endpoint::answering("ok").await;
    let http1_address = http1.address();
    let mut endpoints: Vec<&dyn std::fmt::Display> = vec![&http1_address];
    endpoints.extend(servers.iter().map(|(address, _)| address as &dyn std::fmt::Display));
    let (spy, _edge) =
        spied(&format!("panic: 0%, health: {{ grpc: {{}}, {PACE}, rise: 1 }},"), &endpoints).await;
    eventually("all were asked twice", async || servers.iter().all(|(_, calls)| calls.lock().len() > 1))
        .await;
    eventually("one is fit", async || spy.fit() == [servers[0].0.to_string()]).await;
}

#[tokio::test]
async fn a_call_names_its_service_and_authority() {
    let (server, calls) = serving(Answer::Status(1)).await;
    let call = async |grpc: &str| {
        calls.lock().clear();
        let (spy, _edge) = spied(&format!("health: {{ grpc: {grpc}, {PACE} }},"), &[&server]).await;
        eventually("it is fit", async || spy.fit().len() == 1).await;
        calls.lock()[0].clone()
    };
    let named = call("{ service: shop.v1.Cart, authority: cart.internal }").await;
    assert_eq!(named.head.uri(), "http://cart.internal/grpc.health.v1.Health/Check");
    assert_eq!(named.head.method(), "POST");
    let fields =
        ["content-type", "te", "user-agent"].map(|name| named.head.headers()[name].to_str().unwrap());
    assert_eq!(fields, ["application/grpc", "trailers", "evener-health-check"]);
    assert_eq!(named.body, b"\0\0\0\0\x0e\x0a\x0cshop.v1.Cart");

    let plain = call("{}").await;
    assert_eq!(plain.head.uri().authority().unwrap().as_str(), server.to_string());
    assert_eq!(plain.body, [0; 5]);
}
