use std::sync::Arc;

use tokio::io::AsyncWriteExt;

use crate::support::{Ca, Client, Edge, Endpoint, eventually};

use super::{Site, get};

#[tokio::test]
async fn certificates_are_chosen_by_the_name_that_is_asked_for() {
    let site = Site::with(&["a.example"]);
    site.add("wild", &["*.b.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let certificates = site.certificates(&["a.example", "wild"]);
    let edge = site.edge(&endpoint, &format!("certificates: [{certificates}]")).await;
    for host in ["a.example", "x.b.example"] {
        assert_eq!(get(&edge, host, &site.client()).await.unwrap().1, 200, "{host}");
    }
    // The default certificate is not for this name, so the client refuses it.
    assert!(get(&edge, "other.example", &site.client()).await.is_err());
}

#[tokio::test]
async fn unknown_names_can_be_refused_by_an_alert() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let certificates = site.certificates(&["a.example"]);
    let edge = site.edge(&endpoint, &format!("certificates: [{certificates}], unknown_sni: reject")).await;
    let error = get(&edge, "other.example", &site.client()).await.err().unwrap();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert_eq!(get(&edge, "a.example", &site.client()).await.unwrap().1, 200);
}

#[tokio::test]
async fn versions_and_protocols_are_what_the_listener_has() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let certificates = site.certificates(&["a.example"]);
    let edge = site.edge(&endpoint, &format!("certificates: [{certificates}], min_version: \"1.3\"")).await;
    let mut old = site.ca.client(&["http/1.1"]);
    old.alpn_protocols.clear();
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], Some(&b"h2"[..])), (&["http/1.1"], Some(b"http/1.1")), (&[], None)]
    {
        let config = Arc::new(site.ca.client(offered));
        let client = Client::secure(edge.address(), "a.example", &config).await.unwrap();
        let (stream, _) = client.into_parts();
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), agreed, "{offered:?}");
        assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
    let nothing_in_common = Arc::new(site.ca.client(&["spdy/3"]));
    assert!(Client::secure(edge.address(), "a.example", &nothing_in_common).await.is_err());
}

#[tokio::test]
async fn requests_follow_each_other_on_a_connection() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let edge = site.edge(&endpoint, &format!("certificates: [{}]", site.certificates(&["a.example"]))).await;
    let mut client = Client::secure(edge.address(), "a.example", &site.client()).await.unwrap();
    // Two in one record: what is read ahead waits in the TLS session, where no socket tells of it.
    let padding = "x".repeat(6000);
    let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX-Pad: {padding}\r\n\r\n");
    client.send(request.repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(client.response().await.text(), "hello");
    }
    client.send(&request).await;
    assert_eq!(client.response().await.text(), "hello");
    let line = &edge.log_of(4).await[3];
    assert_eq!((&line["status"], &line["listener"]), (&200.into(), &"web".into()));
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::with(|request| {
        let body = str::from_utf8(&request.body).unwrap();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
    .await;
    let edge = site.edge(&endpoint, &format!("certificates: [{}]", site.certificates(&["a.example"]))).await;
    let mut client = Client::secure(edge.address(), "a.example", &site.client()).await.unwrap();
    let body: Vec<u8> = (0..3_000_000u32).map(|number| b'a' + (number % 23) as u8).collect();
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await;
    client.send(&body).await;
    assert!(client.response().await.body == body);
}

#[tokio::test]
async fn garbage_and_silence_end_and_others_are_served() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let pool = endpoint.address();
    let certificates = site.certificates(&["a.example"]);
    let edge = Edge::start(&format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0, tls: {{ certificates: [{certificates}] }}, limits: {{ handshake: 100ms }} }} }}\n\
         pools: {{ app: {{ endpoints: [{pool}] }} }}\nroutes: [{{ pool: app }}]\n"
    ))
    .await;
    let hello_begins = [0x16, 3, 1, 2, 0, 1, 0];
    for garbage in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0; 64], &[0xff; 1000], &hello_begins, b""] {
        let mut client = edge.connect().await;
        client.try_send(garbage).await.unwrap();
        client.rest().await;
    }
    let (mut client, status) = get(&edge, "a.example", &site.client()).await.unwrap();
    assert_eq!(status, 200);
    // A client that drips a record is served no longer than one that says nothing.
    let (mut stream, _) = edge.connect().await.into_parts();
    eventually("the dripping client is cut", async || stream.write_all(&[0x16]).await.is_err()).await;
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn handshakes_are_counted_by_how_they_end() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let certificates = site.certificates(&["a.example"]);
    let edge = Edge::start(&format!(
        "admin: {{ bind: 127.0.0.1:0 }}
listeners: {{ web: {{ bind: 127.0.0.1:0, tls: {{ certificates: [{certificates}] }} }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ pool: app }}]
",
        endpoint.address()
    ))
    .await;
    let client = site.client();
    for _ in 0..3 {
        assert_eq!(get(&edge, "a.example", &client).await.unwrap().1, 200);
    }
    let strange = Arc::new(Ca::new("somebody else").client(&[]));
    assert!(get(&edge, "a.example", &strange).await.is_err());
    for (result, count) in [("full", 1), ("resumed", 2), ("failed", 1), ("timed_out", 0)] {
        let series = format!("evener_tls_handshakes_total{{listener=\"web\",result=\"{result}\"}} {count}");
        eventually(&series, async || {
            let mut admin = Client::connect(edge.admin_address()).await;
            admin.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            admin.response().await.text().lines().any(|line| line == series)
        })
        .await;
    }
}
