//! The filter `error_pages`.

use std::fs;
use std::path::Path;

use http::Request;
use tempfile::TempDir;

use crate::support::{Client, Edge, Endpoint, dead, eventually};
use crate::wire::http2::H2;

const PAGE: &str =
    "<h1>{status} {reason}</h1><p>{cause}</p><p>{host}{path}</p><style>p { color: red }</style>";

fn pages(folder: &Path) {
    fs::write(folder.join("page.html"), PAGE).unwrap();
    fs::write(
        folder.join("page.json"),
        "{\"status\": {status}, \"error\": \"{cause}\", \"path\": \"{path}\"}",
    )
    .unwrap();
    fs::write(folder.join("404.txt"), "nothing at {path}").unwrap();
}

/// An edge with routes to a dead pool, to a live one, and others.
async fn edge(settings: &str, endpoint: &Endpoint) -> (TempDir, Edge) {
    let folder = tempfile::tempdir().unwrap();
    pages(folder.path());
    let place = folder.path().display();
    let pages = format!(
        "5xx: {{ html: {place}/page.html, json: {place}/page.json }}, 4xx: {place}/page.html, \"404\": {place}/404.txt"
    );
    let route = |path: &str, action: &str| {
        format!(
            "  - match: {{ path: {path} }}\n    filters: [{{ error_pages: {{ pages: {{ {pages} }}, {settings} }} }}]\n    {action}\n"
        )
    };
    let routes = [
        route("/dead", "pool: dead"),
        route("/live", "pool: live"),
        route("/own", "respond: { status: 503, body: own }"),
        route("/empty", "respond: { status: 503 }"),
        route("/files", &format!("files: {{ root: {place} }}")),
    ];
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools:\n  dead: {{ endpoints: [{}] }}\n  live: {{ endpoints: [{}] }}\nroutes:\n{}",
        dead().await,
        endpoint.address(),
        routes.concat()
    );
    let edge = Edge::start(&config).await;
    (folder, edge)
}

fn get(path: &str, accept: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nAccept: {accept}\r\n\r\n")
}

#[tokio::test]
async fn errors_of_the_edge_get_the_page_that_the_client_likes_best() {
    let endpoint = Endpoint::answering("fine").await;
    let (_folder, edge) = edge("from_endpoints: false", &endpoint).await;
    let html = edge.send(&get("/dead", "text/html, */*;q=0.1")).await;
    assert_eq!(html.status, 502);
    let start =
        "<h1>502 Bad Gateway</h1><p>connect_failed</p><p>a.example/dead</p><style>p { color: red }</style>";
    assert_eq!(html.text(), start);
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(html.headers("content-length"), [start.len().to_string()]);
    assert_eq!(html.header("vary"), Some("accept"));
    assert!(html.header("proxy-status").is_some(), "{}", html.head);
    let json = edge.send(&get("/dead?x", "application/json")).await;
    let body: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!((body["status"].as_u64(), body["error"].as_str()), (Some(502), Some("connect_failed")));
    let neither = edge.send(&get("/dead", "image/png")).await;
    assert!(neither.text().starts_with("502 Bad Gateway:"), "{}", neither.text());
    let missing = edge.send(&get("/files/x", "*/*")).await;
    assert_eq!((missing.status, missing.text()), (404, "nothing at /files/x"));
    let refused = edge.send("DELETE /files/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    assert!(
        refused.text().starts_with("<h1>405 Method Not Allowed</h1><p>method_refused</p>"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn what_clients_send_stays_text() {
    let endpoint = Endpoint::answering("fine").await;
    let (_folder, edge) = edge("from_endpoints: false", &endpoint).await;
    let path = "/dead/'%3Cscript%3E&x='";
    let html = edge.send(&get(path, "text/html")).await;
    assert!(html.text().contains("/dead/&#39;%3Cscript%3E&amp;x=&#39;"), "{}", html.text());
    let json = edge.send(&get("/dead/%22%5D", "application/json")).await;
    let body: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(body["path"], "/dead/%22%5D");
}

#[tokio::test]
async fn what_is_answered_on_purpose_stays() {
    let endpoint = Endpoint::with(|_| "HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nhers".to_owned()).await;
    let (_folder, edge) = edge("from_endpoints: false", &endpoint).await;
    assert_eq!(edge.get("/own").await.text(), "own");
    assert_eq!(edge.get("/empty").await.text(), "");
    assert_eq!(edge.get("/live").await.text(), "hers");
}

#[tokio::test]
async fn errors_of_endpoints_get_pages_too_where_that_is_asked_for() {
    let endpoint = Endpoint::with(|request| match request.path() {
        "/live/long" => {
            let body = "x".repeat(200_000);
            format!("HTTP/1.1 500 Oh\r\nContent-Length: 200000\r\nContent-Encoding: gzip\r\nETag: \"a\"\r\n\r\n{body}")
        }
        "/live/chunks" => "HTTP/1.1 503 Oh\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhers\r\n0\r\n\r\n".to_owned(),
        "/live/empty" => "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "/live/404" => "HTTP/1.1 404 Oh\r\nContent-Length: 4\r\n\r\nhers".to_owned(),
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhers".to_owned(),
    })
    .await;
    let (_folder, edge) = edge("from_endpoints: true", &endpoint).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        for (path, status, start) in [
            ("/live/long", 500, "<h1>500 Internal Server Error</h1><p></p>"),
            ("/live/chunks", 503, "<h1>503 Service Unavailable</h1><p></p>"),
            ("/live/empty", 500, ""),
            ("/live/404", 404, "nothing at /live/404"),
            ("/live", 200, "hers"),
        ] {
            client.send(get(path, "*/*")).await;
            let response = client.response().await;
            assert_eq!(response.status, status, "{path}");
            assert!(response.text().starts_with(start), "{path}: {}", response.text());
            assert_eq!(response.header("content-encoding"), None);
            assert_eq!(response.header("etag"), None);
        }
    }
    let h2 = H2::connect(&edge).await;
    let response = h2.get("/live/long").await;
    assert_eq!(response.headers()["content-length"].to_str().unwrap(), response.body().len().to_string());
    assert!(response.body().starts_with(b"<h1>500"));
}

#[tokio::test]
async fn heads_and_http2_fit_the_page() {
    let endpoint = Endpoint::answering("fine").await;
    let (_folder, edge) = edge("from_endpoints: false", &endpoint).await;
    let whole = edge.send(&get("/dead", "text/html")).await;
    let mut client = edge.connect().await;
    client.send("HEAD /dead HTTP/1.1\r\nHost: a.example\r\nAccept: text/html\r\n\r\n").await;
    let head = client.response().await;
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    let h2 = H2::connect(&edge).await;
    let request = Request::get("http://a.example/dead").header("accept", "text/html");
    assert_eq!(h2.send(request, "").await.body(), whole.text());
}

#[tokio::test]
async fn a_page_that_changes_is_read_again() {
    let endpoint = Endpoint::answering("fine").await;
    let (folder, edge) = edge("from_endpoints: false", &endpoint).await;
    fs::write(folder.path().join("404.txt"), "another {status}").unwrap();
    let mut client = Client::connect(edge.address()).await;
    eventually("the new page is served", async || {
        client.send(get("/files/x", "*/*")).await;
        client.response().await.text() == "another 404"
    })
    .await;
}

/// An edge with pages for the server as a whole, and a route with one of its own.
async fn with_pages_of_the_server() -> (TempDir, Edge) {
    let folder = tempfile::tempdir().unwrap();
    pages(folder.path());
    let place = folder.path().display();
    let config = format!(
        "server: {{ error_pages: {{ pages: {{ \"404\": {{ html: {place}/page.html, json: {place}/page.json }}, \
         4xx: {place}/page.html, 5xx: {place}/404.txt }} }} }}\n\
         listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ dead: {{ endpoints: [{}] }} }}\n\
         routes:\n  - match: {{ host: a.example, path: /dead }}\n    pool: dead\n  \
         - match: {{ host: a.example, path: /own }}\n    \
         filters: [{{ error_pages: {{ pages: {{ \"404\": {place}/404.txt }} }} }}]\n    files: {{ root: {place} }}\n",
        dead().await
    );
    (folder, Edge::start(&config).await)
}

#[tokio::test]
async fn what_no_route_has_a_page_for_gets_that_of_the_server() {
    let (_folder, edge) = with_pages_of_the_server().await;
    let missing = edge.send(&get("/nothing?a=b", "text/html")).await;
    assert_eq!((missing.status, missing.header("vary")), (404, Some("accept")));
    assert_eq!(missing.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(
        missing.header("proxy-status"),
        Some("evener; error=destination_not_found; details=\"no_route\"")
    );
    let start = "<h1>404 Not Found</h1><p>no_route</p><p>a.example/nothing</p>";
    assert!(missing.text().starts_with(start), "{}", missing.text());
    let json = edge.send(&get("/nothing", "application/json")).await;
    let body: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!((body["error"].as_str(), body["path"].as_str()), (Some("no_route"), Some("/nothing")));
    let neither = edge.send(&get("/nothing", "image/png")).await;
    assert!(neither.text().starts_with("404 Not Found: nothing is served"), "{}", neither.text());
    assert_eq!(edge.send(&get("/dead", "*/*")).await.text(), "nothing at /dead");
    let own = edge.send(&get("/own/x", "text/*")).await;
    assert_eq!((own.status, own.text()), (404, "nothing at /own/x"));
    // A status that the route has no page for.
    let refused = edge.send("DELETE /own/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n").await;
    assert!(refused.text().starts_with("<h1>405 Method Not Allowed</h1>"), "{}", refused.text());
    let h2 = H2::connect(&edge).await;
    let response = h2.send(Request::get("http://a.example/nothing").header("accept", "text/html"), "").await;
    assert_eq!(response.body(), missing.text());
    let call = Request::post("http://a.example/nothing").header("content-type", "application/grpc");
    let call = h2.send(call, "").await;
    assert_eq!((call.status().as_u16(), &call.headers()["grpc-status"]), (200, &"12".parse().unwrap()));
}

#[tokio::test]
async fn what_is_no_request_gets_the_page_of_the_server() {
    let (_folder, edge) = with_pages_of_the_server().await;
    for (request, cause) in [
        ("GET / HTTP/1.1\r\nHost: a<b>\r\n\r\n", "bad_request"),
        ("GET / HTTP/1.1\r\n\r\n", "bad_request"),
        ("GET /<script> HTTP/1.1\r\nHost: <script>\r\n\r\n", "bad_request"),
        ("GET /\r\n\r\n", "bad_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "bad_request"),
    ] {
        let response = edge.send(request).await;
        let start = format!("<h1>400 Bad Request</h1><p>{cause}</p><p>");
        assert!(response.text().starts_with(&start), "{request:?}: {}", response.text());
        assert!(!response.text().contains("<script>"), "{}", response.text());
        assert_eq!(response.headers("content-length"), [response.body.len().to_string()]);
    }
}

#[tokio::test]
async fn a_page_of_the_server_that_cannot_be_read_refuses_the_configuration() {
    let (folder, edge) = with_pages_of_the_server().await;
    let config = |file: &str| {
        format!(
            "server: {{ error_pages: {{ pages: {{ \"404\": {file} }} }} }}\n\
             listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\nroutes: []\n"
        )
    };
    let refused = edge.try_reload(&config("/nonexistent/404.html")).await.unwrap_err();
    assert!(
        refused.contains("server.error_pages.pages.404") && refused.contains("No such file"),
        "{refused}"
    );
    fs::write(folder.path().join("404.txt"), "changed {status}").unwrap();
    edge.reload(&config(&folder.path().join("404.txt").display().to_string())).await;
    assert_eq!(edge.get("/").await.text(), "changed 404");
}
