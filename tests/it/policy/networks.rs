use crate::support::{Edge, Endpoint, eventually};

use super::filtered;

async fn ask(edge: &Edge, fields: &str) -> u16 {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await.status
}

#[tokio::test]
async fn what_clients_say_of_their_address_does_not_count() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ allow: [10.0.0.0/8] }")).await;
    for fields in [
        "",
        "X-Forwarded-For: 10.0.0.1\r\n",
        "X-Real-IP: 10.0.0.1\r\n",
        "Forwarded: for=10.0.0.1\r\n",
        "True-Client-IP: 10.0.0.1\r\nX-Client-IP: 10.0.0.1\r\n",
        "X_Forwarded_For: 10.0.0.1\r\n",
    ] {
        assert_eq!(ask(&edge, fields).await, 403, "{fields}");
    }
    assert!(endpoint.requests().is_empty());
    assert_eq!(edge.log_of(1).await[0]["cause"], "client_refused");
}

#[tokio::test]
async fn trusted_proxies_say_who_the_client_is() {
    let endpoint = Endpoint::answering("ok").await;
    for (filter, refused) in [("deny", true), ("allow", false)] {
        let config =
            filtered(endpoint.address(), &format!("{{ {filter}: [192.0.2.0/24, '2001:db8::/32'] }}"));
        let edge = Edge::start(&format!("server: {{ trusted_proxies: [127.0.0.0/8] }}\n{config}")).await;
        for (said, is_in) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("2001:db8::5", true),
            ("198.51.100.1", false),
            // The last one that no trusted proxy is, whatever stands before it.
            ("198.51.100.1, 192.0.2.9, 127.0.0.2", true),
            ("192.0.2.9, 198.51.100.1", false),
        ] {
            let status = ask(&edge, &format!("X-Forwarded-For: {said}\r\n")).await;
            assert_eq!(status == 403, is_in == refused, "{filter} {said}");
        }
    }
}

#[tokio::test]
async fn every_request_of_a_connection_is_judged_and_so_is_an_upgrade() {
    let endpoint = Endpoint::answering("ok").await;
    let config = filtered(endpoint.address(), "{ deny: { networks: [192.0.2.7], status: 404 } }");
    let edge = Edge::start(&format!("server: {{ trusted_proxies: [127.0.0.0/8] }}\n{config}")).await;
    let mut client = edge.connect().await;
    for (address, status) in [("192.0.2.6", 200), ("192.0.2.7", 404), ("192.0.2.8", 200)] {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{address}");
    }
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: 192.0.2.7\r\n";
    assert_eq!(ask(&edge, upgrade).await, 404);
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_file_of_networks_that_changes_is_read_again() {
    let endpoint = Endpoint::answering("ok").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("networks");
    std::fs::write(&file, "127.0.0.0/8\n").unwrap();
    let config = filtered(endpoint.address(), &format!("{{ allow: {{ file: '{}' }} }}", file.display()));
    let edge = Edge::start(&config).await;
    assert_eq!(ask(&edge, "").await, 200);
    std::fs::write(&file, "10.0.0.0/8 # others\n").unwrap();
    eventually("the new networks count", async || ask(&edge, "").await == 403).await;
    std::fs::write(&file, "127.0.0.0/8\nx\n").unwrap();
    assert_eq!(ask(&edge, "").await, 403);
    std::fs::write(&file, "").unwrap();
    assert_eq!(ask(&edge, "").await, 403);
}

#[tokio::test]
async fn a_file_that_is_emptied_lets_nobody_in() {
    let endpoint = Endpoint::answering("ok").await;
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("networks"), folder.path().join("other"));
    std::fs::write(&file, "127.0.0.0/8\n").unwrap();
    std::fs::write(&other, "10.0.0.0/8\n").unwrap();
    let [denied, seen] = [&file, &other].map(|file| format!("{{ deny: {{ file: '{}' }} }}", file.display()));
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ match: {{ path: /seen }}, pool: app, filters: [{seen}] }}, {{ pool: app, filters: [{denied}] }}]
",
        endpoint.address()
    );
    let edge = Edge::start(&config).await;
    assert_eq!((ask(&edge, "").await, edge.get("/seen").await.status), (403, 200));
    std::fs::write(&file, "").unwrap();
    // Both are looked at each second: once a later change counts, and another, this one was seen.
    for (networks, status) in [("127.0.0.0/8\n", 403), ("10.0.0.0/8\n", 200)] {
        std::fs::write(&other, networks).unwrap();
        eventually("the new networks count", async || edge.get("/seen").await.status == status).await;
    }
    assert_eq!(ask(&edge, "").await, 403);
    let refused = edge.try_reload(&config).await.unwrap_err();
    assert!(refused.contains("deny.file: ") && refused.contains("lists no network"), "{refused}");
}

#[tokio::test]
async fn a_file_of_networks_is_asked_too() {
    let endpoint = Endpoint::answering("ok").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.txt");
    let lines: Vec<_> = (0..100_000_u32)
        .map(|n| format!("{}.{}.{}.0/24\n", 1 + (n >> 16), (n >> 8) & 255, n & 255))
        .collect();
    std::fs::write(&file, lines.concat()).unwrap();
    let config = filtered(endpoint.address(), &format!("{{ deny: {{ file: '{}' }} }}", file.display()));
    let config = format!("server: {{ trusted_proxies: [127.0.0.0/8] }}\n{config}");
    let edge = Edge::start(&config).await;
    for (address, status) in
        [("1.2.3.4", 403), ("2.134.159.255", 403), ("2.134.160.0", 200), ("0.255.255.255", 200)]
    {
        assert_eq!(ask(&edge, &format!("X-Forwarded-For: {address}\r\n")).await, status, "{address}");
    }
}
