use crate::support::{Edge, Endpoint, Response};

use super::filtered;

const FILTER: &str = "{ api_key: { from: [{ header: X-API-Key }, { query: key }], \
                      keys: { acme: acme-0123456789-key, globex: globex-0123456789-key } } }";

async fn ask(edge: &Edge, target: &str, fields: &str) -> Response {
    edge.send(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await
}

#[tokio::test]
async fn endpoints_and_logs_see_whose_key_it_is_and_not_the_key() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&filtered(endpoint.address(), FILTER)).await;
    let spoofed = "X-Consumer: root\r\nx_consumer: root\r\nX-CONSUMER: root\r\n";
    for (target, fields) in [
        ("/a?b=1", "X-API-Key: acme-0123456789-key\r\n"),
        ("/a?key=acme-0123456789-key&b=1", ""),
        ("/a?b=1&%6b%65y=acme%2D0123456789-key", ""),
        ("/a?b=1", "x-api-key:   acme-0123456789-key  \r\n"),
        ("/a?b=1", "X-API-Key: acme-0123456789-key\r\nX_API_Key: acme-0123456789-key\r\n"),
    ] {
        let response = ask(&edge, target, &format!("{fields}{spoofed}")).await;
        assert_eq!(response.status, 200, "{target} {fields}");
        let seen = endpoint.last();
        assert_eq!(seen.path(), "/a?b=1");
        assert_eq!(seen.headers("x-consumer"), ["acme"]);
        assert!(seen.header("x_consumer").is_none() && !seen.head.contains("0123456789"), "{}", seen.head);
    }
    let log = edge.log_of(5).await;
    assert!(log.iter().all(|line| line["target"] == "/a?b=1"), "{log:?}");
}

#[tokio::test]
async fn nothing_but_a_known_key_lets_in() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&filtered(endpoint.address(), FILTER)).await;
    for (target, fields) in [
        ("/", ""),
        ("/", "X-API-Key:\r\n"),
        ("/", "X-API-Key: acme\r\n"),
        ("/", "X-API-Key: ACME-0123456789-KEY\r\n"),
        ("/", "X-API-Key: acme-0123456789-key,globex-0123456789-key\r\n"),
        ("/", "X-API-Key: acme-0123456789-key\r\nX-API-Key: globex-0123456789-key\r\n"),
        ("/?key=globex-0123456789-key", "X-API-Key: acme-0123456789-key\r\n"),
        ("/?key=acme-0123456789-key&key=", ""),
        ("/?KEY=acme-0123456789-key", ""),
        ("/?key[]=acme-0123456789-key", ""),
        ("/?a=1;key=acme-0123456789-key", ""),
        ("/", "X_API_Key: acme-0123456789-key\r\n"),
        ("/", "X-API-Key: acme-0123456789-key\r\nX_API_Key: globex-0123456789-key\r\n"),
        ("/", "X-Consumer: acme\r\n"),
        ("/", "Authorization: Bearer acme-0123456789-key\r\n"),
        ("/", "Cookie: key=acme-0123456789-key; X-API-Key=acme-0123456789-key\r\n"),
        ("/", "Connection: X-API-Key\r\nX-API-Key: acme-0123456789-key\r\n"),
        ("/", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        let response = ask(&edge, target, fields).await;
        assert_eq!(response.status, 401, "{target} {fields}");
        assert_eq!(response.header("www-authenticate"), Some("ApiKey"));
        assert!(!response.text().contains("0123456789"), "{}", response.text());
    }
    assert!(endpoint.requests().is_empty());
    let log = edge.log_of(17).await;
    assert!(log.iter().all(|line| line["cause"] == "unauthorized"), "{log:?}");
    assert!(!log.iter().any(|line| line["target"].as_str().unwrap().contains("?key=")), "{log:?}");
}

#[tokio::test]
async fn keys_come_from_files_and_are_replaced_by_a_reload() {
    let endpoint = Endpoint::answering("ok").await;
    let folder = tempfile::tempdir().unwrap();
    let (keys, secret) = (folder.path().join("keys.txt"), folder.path().join("secret"));
    // The SHA-256 of `secret`.
    let acme = "acme 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n";
    let others: String = (0..100_000_u32).map(|n| format!("c{n} {n:064x}\n")).collect();
    std::fs::write(&keys, others + acme).unwrap();
    std::fs::write(&secret, "globex-0123456789-key\n").unwrap();
    let filter = format!(
        "{{ api_key: {{ keys: {{ globex: {{ file: '{}' }} }}, file: '{}' }} }}",
        secret.display(),
        keys.display()
    );
    let config = filtered(endpoint.address(), &filter);
    let edge = Edge::start(&config).await;
    for (key, consumer) in [("secret", "acme"), ("globex-0123456789-key", "globex")] {
        assert_eq!(ask(&edge, "/", &format!("X-API-Key: {key}\r\n")).await.status, 200);
        assert_eq!(endpoint.last().header("x-consumer"), Some(consumer));
    }
    std::fs::write(&keys, "acme nonsense\n").unwrap();
    let refused = edge.try_reload(&format!("{config}\nserver: {{}}\n")).await.unwrap_err();
    assert!(refused.contains("line 1: write a name") && !refused.contains("nonsense"), "{refused}");
    assert_eq!(ask(&edge, "/", "X-API-Key: secret\r\n").await.status, 200);
}
