//! Answers are told apart by all that endpoints are told.

use super::{ask, config, counting, did, edge, edge_with};
use crate::support::{Edge, Endpoint};

async fn behind_proxies(endpoint: &Endpoint) -> Edge {
    let text = config(&[endpoint.address().to_string()], "");
    Edge::start(&text.replace("server: {", "server: { trusted_proxies: [127.0.0.0/8],")).await
}

#[tokio::test]
async fn what_trusted_proxies_say_of_the_request_tells_answers_apart() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = behind_proxies(&endpoint).await;
    let fields = [
        "",
        "X-Forwarded-Proto: https\r\n",
        "X-Forwarded-Host: other.example\r\n",
        "X-Forwarded-Port: 81\r\n",
        "Forwarded: for=192.0.2.1;proto=https\r\n",
        "X-Original-URL: /b\r\n",
    ];
    for _ in 0..2 {
        for (number, fields) in fields.iter().enumerate() {
            assert_eq!(ask(&edge, fields).await.text(), format!("answer {}", number + 1), "{fields}");
        }
    }
    for same in [
        "X-Forwarded-For: 192.0.2.7\r\n",
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Host: example.com\r\n",
        "X-Request-ID: 7\r\n",
    ] {
        assert_eq!(ask(&edge, same).await.text(), "answer 1", "{same}");
    }
    let forwarded = ask(&edge, "Forwarded: for=192.0.2.9;proto=https\r\n").await;
    assert_eq!(forwarded.text(), "answer 5");
}

#[tokio::test]
async fn what_depends_on_the_edges_own_words_is_not_stored() {
    for (vary, is_stored) in [
        ("X-Forwarded-For", false),
        ("X-Real-IP", false),
        ("X-Request-ID", false),
        ("Accept, Via", false),
        ("X-Forwarded-Proto", true),
        ("X-Forwarded-Host", true),
        ("Accept, Cookie, Host", true),
    ] {
        let endpoint = Endpoint::with(move |_| {
            format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: {vary}\r\nContent-Length: 2\r\n\r\nok"
            )
        })
        .await;
        let edge = edge(&endpoint, "").await;
        for _ in 0..2 {
            ask(&edge, "Accept: a\r\nCookie: a=b\r\n").await;
        }
        assert_eq!(endpoint.requests().len(), if is_stored { 1 } else { 2 }, "{vary}");
    }
}

#[tokio::test]
async fn fields_that_overrule_the_request_do_not_get_through() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    for (number, name) in [
        "X_Original_URL",
        "X_HTTP_METHOD_OVERRIDE",
        "X-HTTP-Host-Override",
        "X-Original-Method",
        "X-Override-URL",
        "X-Forward-For",
        "Front-End-Https",
        "X-Scheme",
        "X-URL-Scheme",
    ]
    .into_iter()
    .enumerate()
    {
        edge.send(&format!("GET /{number} HTTP/1.1\r\nHost: example.com\r\n{name}: a\r\n\r\n")).await;
        assert!(endpoint.last().header(&name.to_lowercase()).is_none(), "{}", endpoint.last().head);
    }
}

#[tokio::test]
async fn cookies_count_whatever_their_values() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "key: { cookies: [lang] }, bypass: { cookies: [session] }").await;
    let mut seen = Vec::new();
    for cookies in ["lang=de", "lang=de; lang=en", "lang=en; lang=de", "a=b", "lang="] {
        let first = ask(&edge, &format!("Cookie: {cookies}\r\n")).await.text().to_owned();
        assert!(!seen.contains(&first), "{cookies}");
        assert_eq!(ask(&edge, &format!("Cookie: {cookies}\r\n")).await.text(), first);
        seen.push(first);
    }
    ask(&edge, "").await;
    assert!(did(&ask(&edge, "").await).starts_with("evener; hit"));
    for cookies in ["session", "session=1", "a=b; session =1"] {
        assert_eq!(
            did(&ask(&edge, &format!("Cookie: {cookies}\r\n")).await),
            "evener; fwd=bypass",
            "{cookies}"
        );
    }
    for cookies in [&b"session=\xff"[..], b"a=b; session=a\xfe", b"lang=\xff"] {
        let request = [b"GET / HTTP/1.1\r\nHost: example.com\r\nCookie: ", cookies, b"\r\n\r\n"].concat();
        let mut client = edge.connect().await;
        client.send(request).await;
        // The endpoint of this test reads no such bytes, so that it is asked shows in that it fails.
        assert_eq!(client.response().await.status, 502, "{cookies:?}");
    }
}

#[tokio::test]
async fn empty_lines_of_a_field_count() {
    let endpoint = counting("Cache-Control: max-age=60\r\nVary: X-A\r\n").await;
    let edge = edge(&endpoint, "key: { headers: [X-B] }").await;
    for (number, fields) in
        ["", "X-A: 1\r\n", "X-A:\r\nX-A: 1\r\n", "X-B: 1\r\n", "X-B:\r\nX-B: 1\r\n"].iter().enumerate()
    {
        assert_eq!(ask(&edge, fields).await.text(), format!("answer {}", number + 1), "{fields:?}");
    }
}

#[tokio::test]
async fn pages_for_errors_are_given_for_stored_ones_too() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 404 Oh\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nhers".to_owned()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, "<h1>{status}</h1>").unwrap();
    let pages = format!(
        "{{ error_pages: {{ from_endpoints: true, pages: {{ 404: '{}' }} }} }}, {{ cache: {{ in: main }} }}",
        page.display()
    );
    let edge = edge_with(&endpoint, &pages).await;
    for _ in 0..3 {
        let response = edge.get("/").await;
        assert_eq!((response.status, response.text()), (404, "<h1>404</h1>"), "{}", did(&response));
    }
    assert_eq!(endpoint.requests().len(), 1);
}
