use std::fmt::Write;

use super::{echo_site, refused};

#[tokio::test]
async fn a_request_has_one_sound_host() {
    let (endpoint, edge) = echo_site("").await;
    let hosts = [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a/b\r\n",
        "Host: a b\r\n",
        "Host: a, b\r\n",
        "Host: user@a\r\n",
        "Host: user:pass@a\r\n",
        "Host: a:b\r\n",
        "Host: a:99999\r\n",
        "Host: a:80:80\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a\\b\r\n",
        "Host: [::1\r\n",
        "Host: [zz]\r\n",
        "Host: :80\r\n",
        "Host: .\r\n",
        "Host: %61\r\n",
    ];
    for host in hosts {
        let mut client = edge.connect().await;
        client.send(format!("GET / HTTP/1.1\r\n{host}\r\n")).await;
        assert_eq!(client.response().await.status, 400, "{host:?}");
    }
    assert!(endpoint.requests().is_empty());
    let lines = edge.log_of(hosts.len()).await;
    assert!(lines.iter().all(|line| line["cause"] == "bad_request"), "{lines:#?}");
    for host in ["a", "a.", "A:80", "[::1]", "[::1]:8080", "10.0.0.1:80", "a_b.c-d"] {
        let response = edge.send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(response.status, 200, "{host:?}");
        assert_eq!(endpoint.last().header("host"), Some(host));
    }
}

#[tokio::test]
async fn a_target_in_absolute_form_is_forwarded_in_origin_form() {
    let (endpoint, edge) = echo_site("").await;
    for (target, seen) in [
        ("http://example.com/a/b?c=d", "/a/b?c=d"),
        ("http://example.com", "/"),
        ("http://example.com?q", "/?q"),
        ("HTTP://example.com/x", "/x"),
        ("https://example.com/x", "/x"),
    ] {
        let response = edge.send(&format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n")).await;
        assert_eq!(response.status, 200, "{target}");
        let request = endpoint.last();
        assert_eq!(request.path(), seen);
        assert!(request.header("host").unwrap().eq_ignore_ascii_case("example.com"));
    }
}

#[tokio::test]
async fn a_target_that_names_another_host_is_refused() {
    let (endpoint, edge) = echo_site("").await;
    for target in [
        "http://other.example/",
        "http://example.com:81/",
        "http://user@example.com/",
        "ftp://example.com/",
        "http:///x",
        "http:/x",
        "//example.com/x@y:z",
    ] {
        let mut client = edge.connect().await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n")).await;
        let response = client.response().await;
        if target.starts_with("//") {
            // An ordinary path in which two slashes are one.
            assert_eq!(response.text(), "/example.com/x@y:z");
        } else {
            assert_eq!(response.status, 400, "{target}");
        }
    }
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn options_for_the_edge_itself_are_answered() {
    let (endpoint, edge) = echo_site("").await;
    let response = edge.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(response.status, 204);
    assert!(response.header("allow").unwrap().contains("GET"));
    assert_eq!(edge.send("OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n").await.text(), "/x");
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn a_target_begins_with_a_slash() {
    let (endpoint, edge) = echo_site("").await;
    for target in ["*", "a", "a/b", "?q", "example.com:80", "javascript:x", "#", ".", "%2F", "\\a"] {
        let response = edge.send(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(response.status, 400, "{target}");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn methods_that_are_never_served_are_told_which_ones_are() {
    let (endpoint, edge) = echo_site("").await;
    for line in ["TRACE /", "TRACK /", "CONNECT a:443", "CONNECT /"] {
        let response = edge.send(&format!("{line} HTTP/1.1\r\nHost: a:443\r\n\r\n")).await;
        assert_eq!(response.status, 405, "{line}");
        assert!(response.header("allow").unwrap().contains("GET, HEAD, POST"), "{line}");
    }
    assert!(endpoint.requests().is_empty());
    let lines = edge.log_of(4).await;
    assert!(lines.iter().all(|line| line["cause"] == "method_refused"), "{lines:#?}");
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_its_name() {
    let (endpoint, edge) = echo_site("limits: { header: { size: 4KiB, count: 10 } }").await;
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1100));
    assert_eq!(refused(&edge, target).await.status, 414);
    let endless = format!("GET /{}", "x".repeat(10_000));
    assert_eq!(refused(&edge, endless).await.status, 414);
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(5000));
    assert_eq!(refused(&edge, field).await.status, 431);
    let fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10));
    assert_eq!(refused(&edge, fields).await.status, 431);
    let just = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(9));
    assert_eq!(edge.send(&just).await.status, 200);
    assert_eq!(endpoint.requests().len(), 1);
    let lines = edge.log_of(5).await;
    let causes: Vec<_> = lines.iter().filter_map(|line| line["cause"].as_str()).collect();
    assert_eq!(causes, ["target_too_long", "target_too_long", "header_too_large", "header_too_large"]);
}

#[tokio::test]
async fn bodies_are_measured_by_their_length_and_as_they_come() {
    let (endpoint, edge) = echo_site("limits: { body: { size: 1KiB } }").await;
    let length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n";
    assert_eq!(edge.send(length).await.status, 413);
    let mut chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for _ in 0..20 {
        write!(chunks, "64\r\n{}\r\n", "x".repeat(100)).unwrap();
    }
    assert_eq!(refused(&edge, chunks + "0\r\n\r\n").await.status, 413);
    assert!(endpoint.requests().is_empty());
    let just = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n{}", "x".repeat(1024));
    assert_eq!(edge.send(&just).await.status, 200);
    let lines = edge.log_of(3).await;
    assert_eq!(lines[0]["cause"], "body_too_large");
    assert_eq!(lines[1]["cause"], "body_too_large");
}

#[tokio::test]
async fn other_versions_are_not_spoken() {
    let (endpoint, edge) = echo_site("").await;
    for version in ["2.0", "1.2", "3.0", "0.9"] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n");
        assert_eq!(refused(&edge, text).await.status, 505, "{version}");
    }
    assert!(endpoint.requests().is_empty());
    assert!(edge.log_of(4).await.iter().all(|line| line["cause"] == "version_refused"));
}
