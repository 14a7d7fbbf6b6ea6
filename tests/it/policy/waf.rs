//! `waf` with libmodsecurity 3 and the OWASP Core Rule Set, as Debian has them.

mod attacks;
mod bodies;
mod ordinary;
mod overload;
mod settings;

use crate::support::{Edge, Endpoint, Response};

use super::filtered;

/// What a browser says of itself.
const BROWSER: &str = "Host: www.example.com\r\nAccept: text/html,application/json;q=0.9,*/*;q=0.8\r\n\
                       Accept-Language: en-GB,en;q=0.5\r\n\
                       User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n";

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// An edge with `waf`, with these settings, in front of an endpoint.
async fn guarded(settings: &str) -> (Endpoint, Edge) {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&filtered(endpoint.address(), &format!("{{ waf: {{ {settings} }} }}"))).await;
    (endpoint, edge)
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{BROWSER}{fields}\r\n")
}

fn post(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("POST /orders HTTP/1.1\r\n{BROWSER}{fields}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

async fn send(edge: &Edge, request: impl AsRef<[u8]>) -> Response {
    let mut client = edge.connect().await;
    client.send(request).await;
    client.response().await
}
