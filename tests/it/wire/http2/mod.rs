//! HTTP/2 by prior knowledge.

mod early;
mod ends;
mod floods;
mod headers;
mod legitimate;
mod requests;
mod running;
mod windows;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{Edge, PATIENCE};

/// A connection of HTTP/2 by prior knowledge.
pub(crate) struct H2 {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl H2 {
    pub(crate) async fn connect(edge: &Edge) -> Self {
        let stream = TcpStream::connect(edge.address()).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    pub(crate) async fn start(&self, request: http::request::Builder, body: &'static str) -> ResponseFuture {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (response, mut stream) =
            requests.send_request(request.body(()).unwrap(), body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
        }
        response
    }

    pub(crate) async fn send(&self, request: http::request::Builder, body: &'static str) -> Response<Bytes> {
        read(self.start(request, body).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(Request::get(format!("http://example.com{path}")), "").await
    }
}

pub(crate) async fn read(response: ResponseFuture) -> Response<Bytes> {
    let response = timeout(PATIENCE, response).await.expect("is answered in time").unwrap();
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = timeout(PATIENCE, stream.data()).await.expect("goes on in time") {
        let piece = piece.unwrap();
        stream.flow_control().release_capacity(piece.len()).unwrap();
        body.extend_from_slice(&piece);
    }
    Response::from_parts(head, body.into())
}
