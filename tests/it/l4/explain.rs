use crate::process::{Place, told};

const CONFIG: &str = "listeners:
  db: { bind: 127.0.0.1:5432, tcp: { pool: pg } }
  sni:
    bind: 127.0.0.1:8443
    tcp:
      sni:
        db.example.com: pg
        '*.apps.example.com': { pool: apps, alpn: { acme-tls/1: acme } }
      pool: fallback
  strict: { bind: 127.0.0.1:8444, tcp: { sni: { db.example.com: pg } } }
  dns: { bind: 127.0.0.1:53, udp: { pool: resolvers } }
  dns-tcp: { bind: 127.0.0.1:53, tcp: { pool: resolvers-tcp } }
  web: { bind: 127.0.0.1:8080 }
pools:
  pg: { endpoints: [127.0.0.1:9001, { address: 127.0.0.1:9002, weight: 3 }] }
  apps: { endpoints: [127.0.0.1:9003] }
  acme: { endpoints: [127.0.0.1:9004] }
  fallback: { endpoints: [127.0.0.1:9005] }
  resolvers: { endpoints: [127.0.0.1:9006] }
  resolvers-tcp: { endpoints: [127.0.0.1:9007] }
routes: [{ respond: {} }]
";

fn explain(arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<_> = ["explain", "-c", "edge.yaml"].iter().chain(arguments).copied().collect();
    told(&Place::with(CONFIG).evener(&arguments))
}

fn explained(arguments: &[&str]) -> String {
    let (code, out, err) = explain(arguments);
    assert_eq!((code, &*err), (0, ""), "{arguments:?}");
    out
}

#[test]
fn the_way_of_a_connection_is_told() {
    assert_eq!(
        explained(&["tcp://127.0.0.1:5432"]),
        "connection tcp://127.0.0.1:5432/
client     127.0.0.1
listener   db
pool       pg: peak_ewma picks one of
  127.0.0.1:9001           weight 1 (25 % of the weights)
  127.0.0.1:9002           weight 3 (75 % of the weights)
  which are not probed, so all count as fit
"
    );
}

#[test]
fn name_and_protocol_decide() {
    for (query, sni, pool) in [
        ("?sni=db.example.com", "db.example.com", "pg"),
        ("?sni=DB.example.COM.", "db.example.com", "pg"),
        ("?sni=a.apps.example.com", "a.apps.example.com", "apps"),
        ("?sni=a.apps.example.com&alpn=h2", "a.apps.example.com", "apps"),
        ("?sni=a.apps.example.com&alpn=acme-tls/1", "a.apps.example.com", "acme"),
        ("?sni=a.apps.example.com&alpn=h2&alpn=acme-tls/1", "a.apps.example.com", "acme"),
        ("?sni=a.apps.example.com&alpn=h2,acme-tls/1", "a.apps.example.com", "acme"),
        ("?sni=apps.example.com", "apps.example.com", "fallback"),
        ("?alpn=acme-tls/1", "none", "fallback"),
        ("", "none", "fallback"),
    ] {
        let told = explained(&[&format!("tcp://127.0.0.1:8443{query}")]);
        assert!(told.contains(&format!("\nlistener   sni\nsni        {sni}\n")), "{query}: {told}");
        assert!(told.contains(&format!("\npool       {pool}: ")), "{query}: {told}");
    }
}

#[test]
fn connections_that_are_closed_are_told() {
    let told = explained(&["tcp://127.0.0.1:8444?sni=other.example.com"]);
    assert!(told.contains("closed"), "{told}");
}

#[test]
fn tcp_and_udp_of_one_port_are_told_apart() {
    assert!(explained(&["udp://127.0.0.1:53"]).contains("\nlistener   dns\npool       resolvers: "));
    assert!(explained(&["tcp://127.0.0.1:53"]).contains("\nlistener   dns-tcp\npool       resolvers-tcp: "));
}

#[test]
fn what_nobody_takes_is_told() {
    for (url, word) in [
        ("tcp://127.0.0.1:1", "1"),
        ("udp://127.0.0.1:5432", "5432"),
        ("tcp://127.0.0.1:8080", "8080"),
        ("tcp://127.0.0.1", "port"),
    ] {
        let (code, out, err) = explain(&[url]);
        assert_ne!(code, 0, "{url}: {out}");
        assert!(err.contains(word), "{url}: {err}");
    }
}

#[test]
fn a_listener_may_be_named() {
    let told = explained(&["tcp://127.0.0.1", "--listener", "db"]);
    assert!(told.contains("\nlistener   db\n"), "{told}");
}
