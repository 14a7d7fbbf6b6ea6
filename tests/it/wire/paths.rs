use crate::support::{Edge, Endpoint};

use super::{echo, echo_site, site, site_with};

async fn guarded() -> (Endpoint, Edge) {
    let endpoint = echo().await;
    let edge = Edge::start(&site_with(
        endpoint.address(),
        "",
        "",
        "- { match: { path: /admin/ }, respond: { status: 403 } }\n- pool: app",
    ))
    .await;
    (endpoint, edge)
}

#[tokio::test]
async fn every_spelling_is_forwarded_in_one_form() {
    let (endpoint, edge) = echo_site("").await;
    for (spelling, canonical) in [
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/%61", "/a"),
        ("/a//b", "/a/b"),
        ("//", "/"),
        ("///a", "/a"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/%2E/b", "/a/b"),
        ("/a/..", "/"),
        ("/%e4%b8%ad", "/%E4%B8%AD"),
        ("/\u{e4}", "/%C3%A4"),
        ("/a%20b", "/a%20b"),
        ("/a;x=1/b", "/a;x=1/b"),
        ("/a{b}|^", "/a%7Bb%7D%7C%5E"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/...", "/..."),
    ] {
        let response = edge.get(spelling).await;
        assert_eq!((response.status, response.text()), (200, canonical), "{spelling}");
        assert_eq!(endpoint.last().line(), format!("GET {canonical} HTTP/1.1"), "{spelling}");
    }
}

#[tokio::test]
async fn what_readers_take_differently_is_refused() {
    let (endpoint, edge) = echo_site("").await;
    for path in [
        "/%00",
        "/a%0ab",
        "/a\\b",
        "/a%5cb",
        "/%",
        "/%4",
        "/%zz",
        "/%u0041",
        "/..",
        "/../a",
        "/a/../../b",
        "/%2e%2e/a",
        "/a/..;/b",
        "/a#b",
        "/a<b",
        "/a>b",
        "/a\"b",
        "/a`b",
        "/?<",
        "/?#",
    ] {
        assert_eq!(edge.get(path).await.status, 400, "{path}");
    }
    let mut client = edge.connect().await;
    client.send(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status, 400);
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn no_spelling_passes_by_the_guard() {
    let (endpoint, edge) = guarded().await;
    for path in [
        "/admin/x",
        "/admin",
        "//admin/x",
        "/./admin/x",
        "/a/../admin/x",
        "/%61dmin/x",
        "/a/%2e%2e/admin/x",
        "/admin//x",
    ] {
        assert_eq!(edge.get(path).await.status, 403, "{path}");
    }
    for path in ["/a/..%2Fadmin/x", "/a/..%2fadmin/x", "/%2Fadmin/x", "/admin%2Fx", "/a%2F..%2F../admin%2fx"]
    {
        assert!(matches!(edge.get(path).await.status, 400 | 403), "{path}");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn an_encoded_slash_stays_where_it_changes_nothing() {
    let (endpoint, edge) = guarded().await;
    assert_eq!(edge.get("/files/a%2Fb").await.text(), "/files/a%2Fb");
    assert_eq!(edge.get("/files/a%2fb").await.text(), "/files/a%2Fb");
    assert_eq!(endpoint.requests().len(), 2);
    assert_eq!(edge.get("/admin%2Fx").await.status, 400);
}

#[tokio::test]
async fn a_query_is_kept_byte_for_byte() {
    let (_endpoint, edge) = echo_site("").await;
    for query in ["", "a=b&c=d", "a=%2e%2E/../x", "%zz%", "a=//b", "?a=b?", "{x}|y", "a='b'", "^\\"] {
        for path in ["/p", "/./p"] {
            let response = edge.get(&format!("{path}?{query}")).await;
            assert_eq!((response.status, response.text()), (200, &*format!("/p?{query}")));
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused_by_the_edge_itself() {
    let endpoint = echo().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    for target in [&b"/\xff"[..], b"/x?\xff\xfe", b"/\xc3"] {
        let mut client = edge.connect().await;
        client.send([b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("server")), (400, None));
        assert!(response.text().contains("malformed"));
    }
}
