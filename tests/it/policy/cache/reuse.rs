use super::{ask, config, counting, did, edge, with};
use crate::support::{Edge, Endpoint, H2Endpoint};

#[tokio::test]
async fn a_stored_answer_is_given_again_with_its_age() {
    let endpoint = counting("Cache-Control: max-age=60\r\nAge: 5\r\nX-Kept: yes\r\n").await;
    let edge = edge(&endpoint, "").await;
    let first = edge.get("/").await;
    assert_eq!((first.text(), did(&first)), ("answer 1", "evener; fwd=uri-miss; stored"));
    let second = edge.get("/").await;
    assert_eq!((second.text(), second.header("x-kept")), ("answer 1", Some("yes")));
    assert!(did(&second).starts_with("evener; hit; ttl=5"), "{}", did(&second));
    let age: u64 = second.header("age").unwrap().parse().unwrap();
    assert!((5..30).contains(&age), "{age}");
    assert_eq!(second.headers("age").len(), 1);
    assert_eq!(edge.get("/?a").await.text(), "answer 2");
    assert_eq!(endpoint.requests().len(), 2);
    let log = edge.log_of(3).await;
    let told: Vec<_> = log.iter().map(|line| line["cache"].as_str().unwrap()).collect();
    assert_eq!(told, ["miss", "hit", "miss"]);
    assert_eq!((&log[1]["attempts"], log[1].get("endpoint")), (&0.into(), None));
}

#[tokio::test]
async fn a_hit_needs_no_endpoint() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    edge.get("/").await;
    drop(endpoint);
    let hit = edge.get("/").await;
    assert_eq!((hit.status, hit.text()), (200, "answer 1"));
    assert_eq!(edge.get("/other").await.status, 502);
}

#[tokio::test]
async fn heads_are_answered_by_what_was_stored_for_get_and_store_nothing() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    let head = "HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let mut client = edge.connect().await;
    client.send(head).await;
    client.response_to_head().await;
    assert_eq!(endpoint.last().line(), "HEAD / HTTP/1.1");
    assert_eq!(edge.get("/").await.text(), "answer 2");
    client.send(head).await;
    let hit = client.response_to_head().await;
    assert_eq!(hit.header("content-length"), Some("8"));
    assert!(did(&hit).starts_with("evener; hit"), "{}", did(&hit));
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn stored_answers_are_given_in_part_and_by_validators() {
    let endpoint = counting("Cache-Control: max-age=60\r\nETag: \"a\"\r\n").await;
    let edge = edge(&endpoint, "").await;
    assert_eq!(edge.get("/").await.text(), "answer 1");
    for (fields, status, body) in [
        ("", 200, "answer 1"),
        ("Range: bytes=1-3\r\n", 206, "nsw"),
        ("Range: bytes=-1\r\n", 206, "1"),
        ("Range: bytes=100-\r\n", 416, ""),
        ("Range: bytes=-0\r\n", 416, ""),
        ("Range: bytes=5-1\r\n", 200, "answer 1"),
        ("Range: lines=1-3\r\n", 200, "answer 1"),
        ("Range: bytes=1-3\r\nRange: bytes=2-3\r\n", 200, "answer 1"),
        ("Range: bytes=1-3\r\nIf-Range: \"a\"\r\n", 206, "nsw"),
        ("Range: bytes=1-3\r\nIf-Range: \"b\"\r\n", 200, "answer 1"),
        ("If-None-Match: \"a\"\r\n", 304, ""),
        ("If-None-Match: W/\"a\"\r\n", 304, ""),
        ("If-None-Match: \"b\"\r\n", 200, "answer 1"),
    ] {
        let response = ask(&edge, fields).await;
        assert_eq!((response.status, response.text()), (status, body), "{fields}");
    }
    let many = "0-0,".repeat(40);
    assert_eq!(ask(&edge, &format!("Range: bytes={many}1-1\r\n")).await.status, 200);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn variants_are_told_apart_by_what_answers_depend_on() {
    let endpoint = counting("Cache-Control: max-age=60\r\nVary: Accept-Language\r\n").await;
    let edge = edge(&endpoint, "").await;
    for (fields, expected) in [
        ("Accept-Language: de\r\n", "answer 1"),
        ("Accept-Language: en\r\n", "answer 2"),
        ("", "answer 3"),
        ("Accept-Language: DE\r\n", "answer 1"),
        ("Accept-Language: en\r\nX-Other: 1\r\n", "answer 2"),
        ("", "answer 3"),
    ] {
        assert_eq!(ask(&edge, fields).await.text(), expected, "{fields}");
    }
    assert!(did(&ask(&edge, "Accept-Language: fr\r\n").await).contains("fwd=vary-miss"));
}

#[tokio::test]
async fn an_answer_that_is_still_the_same_is_brought_up_to_date() {
    let endpoint = Endpoint::with(|request| match request.header("if-none-match") {
        Some("\"a\"") => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\nX-Seen: new\r\n\
                          Content-Type: text/new\r\nContent-Length: 99\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
            .to_owned(),
        _ => "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nCache-Control: max-age=1\r\nAge: 9\r\nX-Seen: old\r\nX-Kept: yes\r\n\
              Content-Length: 4\r\n\r\nbody"
            .to_owned(),
    })
    .await;
    let edge = edge(&endpoint, "").await;
    edge.get("/").await;
    for expected in ["evener; fwd=stale; fwd-status=304", "evener; hit"] {
        let response = edge.get("/").await;
        assert_eq!((response.status, response.text()), (200, "body"));
        assert!(did(&response).starts_with(expected), "{}", did(&response));
        let fields =
            ["x-seen", "x-kept", "content-type", "content-length", "x-hop"].map(|name| response.header(name));
        assert_eq!(fields, [Some("new"), Some("yes"), Some("text/new"), Some("4"), None]);
    }
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn requests_that_change_something_remove_what_it_was_before() {
    let endpoint = with(|request, _| match request.path() {
        "/edit" => "Location: /\r\nContent-Location: http://other.example/x\r\n".to_owned(),
        _ => "Cache-Control: max-age=60\r\n".to_owned(),
    })
    .await;
    let edge = edge(&endpoint, "").await;
    assert_eq!(edge.get("/").await.text(), "answer 1");
    edge.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\na").await;
    assert_eq!(edge.get("/").await.text(), "answer 3");
    edge.send("POST /edit HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\na").await;
    assert_eq!(edge.get("/").await.text(), "answer 5");
    edge.send("PUT / HTTP/1.1\r\nHost: other.example\r\nContent-Length: 1\r\n\r\na").await;
    assert_eq!(edge.get("/").await.text(), "answer 5");
}

#[tokio::test]
async fn settings_say_what_is_stored_and_what_it_is_known_by() {
    let endpoint = counting("").await;
    let settings = "ttl: { 200: 1h }, key: { query: none, cookies: [lang], headers: [X-Shop] }, \
                    bypass: { cookies: [session], headers: [X-Preview] }";
    let edge = edge(&endpoint, settings).await;
    assert_eq!(edge.get("/?a").await.text(), "answer 1");
    assert_eq!(edge.get("/?b").await.text(), "answer 1");
    for (fields, expected) in [
        ("Cookie: lang=de\r\n", "answer 2"),
        ("X-Shop: 1\r\n", "answer 3"),
        ("Cookie: other=1; lang=de\r\n", "answer 2"),
        ("X-Shop: 1\r\n", "answer 3"),
        ("Cookie: session=1\r\n", "answer 4"),
        ("X-Preview: 1\r\n", "answer 5"),
        ("Cookie: other=1\r\n", "answer 1"),
    ] {
        assert_eq!(ask(&edge, fields).await.text(), expected, "{fields}");
    }
    assert_eq!(did(&ask(&edge, "X-Preview: 1\r\n").await), "evener; fwd=bypass");
}

#[tokio::test]
async fn clients_may_ask_for_newer_answers_only_where_they_are_heeded() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let plain = edge(&endpoint, "").await;
    assert_eq!(ask(&plain, "Cache-Control: only-if-cached\r\n").await.status, 504);
    assert_eq!(endpoint.requests().len(), 0);
    assert_eq!(plain.get("/").await.text(), "answer 1");
    for wish in ["no-cache", "max-age=0", "min-fresh=600", "no-store", "only-if-cached"] {
        assert_eq!(ask(&plain, &format!("Cache-Control: {wish}\r\n")).await.text(), "answer 1", "{wish}");
    }
    let heeding = edge(&endpoint, "client_directives: honour").await;
    assert_eq!(heeding.get("/").await.text(), "answer 2");
    let newer = ask(&heeding, "Cache-Control: no-cache\r\n").await;
    assert_eq!((newer.text(), did(&newer)), ("answer 3", "evener; fwd=request; stored"));
    assert_eq!(heeding.get("/").await.text(), "answer 3");
}

#[tokio::test]
async fn what_a_request_wants_kept_from_the_store_is() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    assert_eq!(ask(&edge, "Cache-Control: no-store\r\n").await.text(), "answer 1");
    assert_eq!(edge.get("/").await.text(), "answer 2");
}

#[tokio::test]
async fn a_reload_keeps_what_is_stored_unless_its_size_changes() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let config = config(&[endpoint.address().to_string()], "");
    let edge = Edge::start(&config).await;
    edge.get("/").await;
    edge.reload(&config.replace("in: main,", "in: main, heuristic: 0%,")).await;
    assert_eq!(edge.get("/").await.text(), "answer 1");
    edge.reload(&config.replace("8MiB", "9MiB")).await;
    assert_eq!(edge.get("/").await.text(), "answer 2");
}

#[tokio::test]
async fn answers_over_http2_are_stored_too() {
    let endpoint = H2Endpoint::answering("hello").await;
    let text = config(&[endpoint.address().to_string()], "ttl: { 200: 1h }");
    let edge = Edge::start(&text.replace("endpoints:", "protocol: h2c, endpoints:")).await;
    // Nothing tells how long it is, so that nobody can say before its end that it is stored.
    for expected in ["evener; fwd=uri-miss", "evener; hit"] {
        let response = edge.get("/").await;
        assert_eq!(response.text(), "hello");
        assert!(did(&response).starts_with(expected), "{}", did(&response));
    }
}

#[tokio::test]
async fn a_change_removes_the_answers_for_everybody() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let settings = "key: { headers: [X-Lang], cookies: [team], query: none }";
    let edge = edge(&endpoint, settings).await;
    let variants = ["", "X-Lang: de\r\n", "X-Lang: en\r\n", "Cookie: team=a\r\n"];
    for fields in variants {
        ask(&edge, fields).await;
        assert!(did(&ask(&edge, fields).await).starts_with("evener; hit"), "{fields}");
    }
    let other = edge.get("/other").await;
    edge.send("POST / HTTP/1.1\r\nHost: example.com\r\nX-Lang: fr\r\nContent-Length: 0\r\n\r\n").await;
    for fields in variants {
        assert!(did(&ask(&edge, fields).await).contains("fwd=uri-miss"), "{fields}");
    }
    assert_eq!(edge.get("/other").await.text(), other.text());
}
