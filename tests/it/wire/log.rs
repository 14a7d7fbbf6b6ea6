use crate::support::{Edge, Endpoint, Exchange, eventually};

use super::{GET, site, site_with};

#[tokio::test]
async fn every_request_is_one_line() {
    let endpoint = Endpoint::answering("four").await;
    let routes = "- { name: main, pool: app }";
    let edge = Edge::start(&site_with(endpoint.address(), "", "", routes)).await;
    let mut client = edge.connect().await;
    let request =
        "POST /a?b=c HTTP/1.1\r\nHost: EXAMPLE.com:80\r\nUser-Agent: test/1\r\nContent-Length: 3\r\n\r\nabc";
    client.send(request.repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(client.response().await.status, 200);
    }
    let lines = edge.log_of(3).await;
    assert_eq!(lines.len(), 3);
    let line = &lines[2];
    let expected = [
        ("client", "127.0.0.1".into()),
        ("listener", "web".into()),
        ("protocol", "HTTP/1.1".into()),
        ("method", "POST".into()),
        ("host", "example.com".into()),
        ("target", "/a?b=c".into()),
        ("status", 200.into()),
        ("route", "main".into()),
        ("pool", "app".into()),
        ("endpoint", endpoint.address().to_string().into()),
        ("attempts", serde_json::Value::from(1)),
        ("bytes_in", 3.into()),
        ("bytes_out", 4.into()),
        ("user_agent", "test/1".into()),
    ];
    for (key, value) in expected {
        assert_eq!(line[key], value, "{key}: {line}");
    }
    assert_eq!(line.get("cause"), None);
    assert_eq!(line["request_id"].as_str(), endpoint.last().header("x-request-id"));
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    for phase in ["filters", "connect", "first_byte", "total"] {
        assert!(line["ms"][phase].as_f64().is_some_and(|ms| ms >= 0.0), "{phase}: {line}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_logged_as_gone() {
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    drop(client);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&499.into(), &"client_gone".into()));
    assert_eq!(line["endpoint"], endpoint.address().to_string());
    assert_eq!(line["ms"].get("first_byte"), None);
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_taken_for_gone() {
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    client.half_close().await;
    assert!(client.is_closed().await);
    assert_eq!(edge.log_of(1).await[0]["status"], 499);
}

#[tokio::test]
async fn a_client_that_leaves_after_hints_is_logged_as_gone() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await;
        std::future::pending().await
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 103);
    drop(client);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&499.into(), &"client_gone".into()));
}

#[tokio::test]
async fn a_client_that_leaves_within_its_body_is_logged_as_gone() {
    let endpoint = Endpoint::answering("hi").await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    for start in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut client = edge.connect().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{start}")).await;
        drop(client);
    }
    let lines = edge.log_of(2).await;
    assert!(lines.iter().all(|line| line["status"] == 499 && line["cause"] == "client_gone"), "{lines:#?}");
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn answers_of_the_edge_have_no_endpoint() {
    let edge = Edge::start(&site_with(
        "127.0.0.1:1",
        "",
        "",
        "- { name: fixed, match: { path: /fixed }, respond: { body: hello } }",
    ))
    .await;
    assert_eq!(edge.get("/fixed").await.status, 200);
    assert_eq!(edge.get("/nowhere").await.status, 404);
    let lines = edge.log_of(2).await;
    assert_eq!((&lines[0]["route"], &lines[0]["bytes_out"]), (&"fixed".into(), &5.into()));
    assert_eq!((&lines[1]["cause"], &lines[1]["status"]), (&"no_route".into(), &404.into()));
    for line in &lines {
        assert_eq!((line.get("endpoint"), &line["attempts"]), (None, &0.into()));
    }
}
