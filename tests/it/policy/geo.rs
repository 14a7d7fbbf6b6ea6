use crate::support::mmdb::{Value, database, sample};
use crate::support::{Edge, Endpoint, eventually};

use super::filtered;

async fn ask(edge: &Edge, client: &str) -> u16 {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n")).await.status
}

fn country(network: &'static str, prefix: u32, code: &'static str) -> (&'static str, u32, Value) {
    (network, prefix, Value::Map(vec![("country", Value::Map(vec![("iso_code", Value::Text(code))]))]))
}

#[tokio::test]
async fn clients_come_in_by_their_country_and_endpoints_are_told_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("geo.mmdb");
    std::fs::write(&file, sample()).unwrap();
    let endpoint = Endpoint::answering("ok").await;
    let filters = format!(
        "{{ geo: {{ file: '{}', deny: JP, set: {{ geo.city: city.names.en }} }} }}, \
         {{ request_headers: {{ set: {{ X-City: '{{var.geo.city}}' }} }} }}",
        file.display()
    );
    let config = filtered(endpoint.address(), &filters);
    let edge = Edge::start(&format!("server: {{ trusted_proxies: [127.0.0.0/8] }}\n{config}")).await;
    assert_eq!(ask(&edge, "81.2.69.1").await, 200);
    assert_eq!(endpoint.last().headers("x-city"), ["London"]);
    assert_eq!(ask(&edge, "2001:218::1").await, 403);
    assert_eq!(ask(&edge, "2001:218::1, 81.2.69.1").await, 200);
    assert_eq!(ask(&edge, "81.2.69.1, 2001:218::1").await, 403);
    // Nothing is known of these.
    assert_eq!(ask(&edge, "10.0.0.1").await, 200);
    assert_eq!(endpoint.requests().len(), 3);
    let log = edge.log_of(2).await;
    assert_eq!(log[1]["cause"], "country_refused");
}

#[tokio::test]
async fn what_clients_say_of_their_address_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("geo.mmdb");
    std::fs::write(&file, sample()).unwrap();
    let endpoint = Endpoint::answering("ok").await;
    let filter = format!("{{ geo: {{ file: '{}', allow: GB }} }}", file.display());
    let edge = Edge::start(&filtered(endpoint.address(), &filter)).await;
    for fields in [
        "",
        "X-Forwarded-For: 81.2.69.1\r\n",
        "X-Real-IP: 81.2.69.1\r\n",
        "X-Country: GB\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
    ] {
        let response = edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert_eq!(response.status, 403, "{fields}");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_database_that_changes_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("geo.mmdb");
    std::fs::write(&file, database(&[country("127.0.0.0", 8, "DE")])).unwrap();
    let endpoint = Endpoint::answering("ok").await;
    let filter = format!("{{ geo: {{ file: '{}', allow: DE }} }}", file.display());
    let config = filtered(endpoint.address(), &filter);
    let edge = Edge::start(&config).await;
    assert_eq!(edge.get("/").await.status, 200);
    // Wrong ones change nothing, and refuse a configuration.
    std::fs::write(&file, "half a download").unwrap();
    assert_eq!(edge.get("/").await.status, 200);
    let refused = edge.try_reload(&format!("{config}\nserver: {{}}\n")).await.unwrap_err();
    assert!(refused.contains("no database in the format of MaxMind"), "{refused}");
    assert_eq!(edge.get("/").await.status, 200);
    std::fs::write(&file, database(&[country("127.0.0.0", 9, "FR"), country("10.0.0.0", 8, "DE")])).unwrap();
    eventually("the new database counts", async || edge.get("/").await.status == 403).await;
}
