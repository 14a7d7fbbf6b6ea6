//! The filter `cache`: what is stored and given, and what must never be.

mod bypass;
mod collapsing;
mod control;
mod disk;
mod filling;
mod http2;
mod personal;
mod poisoning;
mod refresh;
mod reuse;
mod stale;
mod told;

use crate::support::{Edge, Endpoint, Request, Response};

/// An edge with a cache of these settings, in front of one endpoint.
async fn edge(endpoint: &Endpoint, settings: &str) -> Edge {
    Edge::start(&config(&[endpoint.address().to_string()], settings)).await
}

fn config(endpoints: &[String], settings: &str) -> String {
    let endpoints = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect::<Vec<_>>().join(", ");
    format!(
        "server: {{ caches: {{ main: {{ memory: 8MiB, max_object: 256KiB }} }} }}\n\
         listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: [{endpoints}] }} }}\n\
         routes: [{{ filters: [{{ cache: {{ in: main, {settings} }} }}], pool: app }}]\n\
         log: {{ access: {{ to: LOG }} }}\n"
    )
}

/// An edge with these filters, in front of one endpoint.
async fn edge_with(endpoint: &Endpoint, filters: &str) -> Edge {
    let text = config(&[endpoint.address().to_string()], "");
    Edge::start(&text.replace("{ cache: { in: main,  } }", filters)).await
}

/// An endpoint that numbers its answers, in a header and in their bodies, and adds these fields to them.
async fn counting(fields: &'static str) -> Endpoint {
    with(move |_, _| fields.to_owned()).await
}

/// The same, with fields by request and number.
async fn with(fields: impl Fn(&Request, usize) -> String + Send + Sync + 'static) -> Endpoint {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Endpoint::with(move |request| {
        if request.is_probe() {
            return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
        }
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let body = format!("answer {number}");
        let sent = if request.line().starts_with("HEAD ") { "" } else { &body };
        let fields = fields(request, number);
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{sent}", body.len())
    })
    .await
}

/// Asks for `/` with these fields.
async fn ask(edge: &Edge, fields: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await
}

fn did(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("nothing")
}
