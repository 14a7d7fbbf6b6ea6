use crate::support::{Endpoint, eventually};

use super::control::get;
use super::run::Running;
use super::{Place, told};

const CONFIG: &str = "server: { trusted_proxies: [127.0.0.2, unix] }
listeners:
  web: { bind: 127.0.0.1:8080 }
  admin: { bind: 127.0.0.1:8081 }
  local: { bind: 'unix:edge.sock' }
pools:
  app: { endpoints: [127.0.0.1:9001, { address: 127.0.0.1:9002, weight: 3 }], health: { tcp: {} } }
routes:
  - { name: canary, match: { path: /api, headers: { X-Canary: '1' }, methods: [GET, POST] }, redirect: { to: '/canary{path}' } }
  - name: api
    match: { path: /api }
    filters: [{ rate_limit: { rate: 10/s, burst: 5 } }, { rewrite: { strip_prefix: /api } }]
    pool: app
  - { name: internal, match: { listeners: [admin], clients: [10.0.0.0/8] }, respond: { body: secret } }
  - { name: secure, match: { headers: { X-Forwarded-Proto: https } }, respond: { status: 201 } }
  - { name: shop, match: { host: shop.example.com }, respond: { status: 404 } }
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
fn the_way_of_a_request_is_told_with_why_others_lost() {
    assert_eq!(
        explained(&["http://example.com/x/../api//users?id=1"]),
        "request    GET http://example.com/x/../api//users?id=1
client     127.0.0.1
listener   web
host       example.com
path       /api/users  (normalised from /x/../api//users)
candidates, the most specific first
  1. canary               any host                 header x-canary is absent, wanted = 1
  2. api                  any host                 chosen
  3. internal             any host                 listener is another, wanted admin; client is 127.0.0.1, wanted 10.0.0.0/8
  4. secure               any host                 header x-forwarded-proto is absent, wanted = https
  (1 route is for other hosts)
filters, in their order
  1. rate_limit           10/s per client_ip, burst 5
  2. rewrite              strip /api
pool       app: peak_ewma picks one of
  127.0.0.1:9001           weight 1 (25 % of the weights)
  127.0.0.1:9002           weight 3 (75 % of the weights)
  of those that pass their probe every 5s
"
    );
}

#[test]
fn method_and_headers_decide() {
    assert_eq!(
        explained(&["-X", "POST", "-H", "X-Canary: 1", "http://example.com/api/users"]),
        "request    POST http://example.com/api/users
client     127.0.0.1
listener   web
host       example.com
path       /api/users
candidates, the most specific first
  1. canary               any host                 chosen
  2. api                  any host                 not reached, a more specific route was chosen
  3. internal             any host                 listener is another, wanted admin; client is 127.0.0.1, wanted 10.0.0.0/8
  4. secure               any host                 header x-forwarded-proto is absent, wanted = https
  (1 route is for other hosts)
filters, in their order
  none
answer     308: to /canary{path}
"
    );
    let out = explained(&["-X", "DELETE", "-H", "X-Canary: 2", "http://example.com/api/users"]);
    assert!(out.contains("method is DELETE, wanted GET, POST; header x-canary is 2, wanted = 1"), "{out}");
}

#[test]
fn listener_and_client_decide() {
    let out = explained(&["--client", "10.1.2.3", "http://example.com:8081/"]);
    assert!(
        out.contains("listener   admin\n") && out.contains("answer     200: 6 bytes from the edge\n"),
        "{out}"
    );
    let out = explained(&["--client", "10.1.2.3", "--listener", "web", "http://example.com:8081/"]);
    assert!(out.contains("listener is another, wanted admin"), "{out}");
    assert!(out.ends_with("answer     404: no route matches\n"), "{out}");
    let out = explained(&["--listener", "admin", "http://example.com/"]);
    assert!(out.contains("client is 127.0.0.1, wanted 10.0.0.0/8"), "{out}");
}

#[test]
fn a_method_that_is_never_served_has_no_candidates() {
    for method in ["TRACE", "TRACK", "CONNECT"] {
        assert_eq!(
            explained(&["-X", method, "http://example.com/api/users"]),
            format!(
                "request    {method} http://example.com/api/users
client     127.0.0.1
listener   web
answer     405: the method is not served here
"
            )
        );
    }
}

#[test]
fn what_the_client_may_not_say_is_dropped() {
    let headers =
        ["-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-For: 1.2.3.4", "-H", "Proxy: http://a", "-H"];
    let said = [&headers[..], &["x_real_ip: 1.2.3.4", "http://example.com/"]].concat();
    let out = explained(&said);
    let expected = "client     127.0.0.1
dropped    x-forwarded-proto (the client is not a trusted proxy)
dropped    x-forwarded-for (the client is not a trusted proxy)
dropped    proxy (CGI programs would take it for a proxy setting)
dropped    x_real_ip (CGI programs would take it for a forwarding header)
listener   web
";
    assert!(out.contains(expected), "{out}");
    assert!(out.contains("header x-forwarded-proto is absent, wanted = https"), "{out}");
    assert!(out.ends_with("answer     404: no route matches\n"), "{out}");
}

#[test]
fn a_trusted_proxy_is_believed() {
    let said = ["-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-For: 10.1.2.3, 127.0.0.2"];
    let asked = ["--client", "127.0.0.2", "--listener", "admin", "http://example.com/"];
    let out = explained(&[&said[..], &asked[..]].concat());
    let expected = "client     10.1.2.3  (from X-Forwarded-For, believed of 127.0.0.2)\nlistener   admin\n";
    assert!(out.contains(expected), "{out}");
    assert!(out.contains("secure               any host                 not reached"), "{out}");
    assert!(out.ends_with("answer     200: 6 bytes from the edge\n"), "{out}");
    let out = explained(&asked);
    assert!(out.contains("client     127.0.0.2\nlistener   admin\n"), "{out}");
}

#[test]
fn a_unix_socket_is_believed_as_a_whole_and_tells_no_address() {
    let asked = ["--listener", "local", "http://example.com/"];
    let out = explained(&[&["-H", "X-Forwarded-For: 1.2.3.4"][..], &asked[..]].concat());
    assert!(out.contains("client     1.2.3.4  (from X-Forwarded-For, believed on a Unix socket)\n"), "{out}");
    let out = explained(&asked);
    assert!(out.contains("client     0.0.0.0  (a Unix socket tells no address)\n"), "{out}");
}

#[test]
fn the_host_field_counts_before_the_url() {
    let out = explained(&["-H", "Host: shop.example.com", "http://127.0.0.1:8080/"]);
    assert!(
        out.contains("host       shop.example.com\n") && out.contains("answer     404: 0 bytes"),
        "{out}"
    );
}

#[test]
fn what_cannot_be_explained_says_why() {
    for (arguments, expected) in [
        (&["/path"][..], "evener: the URL has no host; write it whole, like http://example.com/path\n"),
        (&["--listener", "webb", "http://a/"], "evener: there is no listener `webb`\n"),
        (&["-H", "Host: a b", "http://a/"], "evener: `a b` is not a host\n"),
        (
            &["ftp://a/"],
            "evener: `ftp:` is not served; ask by http:, https:, tcp: or udp:, and for WebSockets by http: or https:\n",
        ),
    ] {
        assert_eq!(explain(arguments), (1, String::new(), expected.to_owned()));
    }
}

// === Online ===

#[tokio::test]
async fn a_process_tells_by_its_own_state() {
    let (first, second, gone) =
        (Endpoint::answering("a").await, Endpoint::answering("b").await, crate::support::dead().await);
    let (a, b) = (first.address(), second.address());
    let running = Running::start(
        &format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ balance: p2c, endpoints: ['{a}', '{b}', '{gone}'], health: {{ tcp: {{}}, interval: 1s }} }} }}
routes: [{{ name: app, filters: [{{ rate_limit: {{ rate: 1/h, burst: 2 }} }}, {{ concurrency: {{ max: 3 }} }}, {{ adaptive_concurrency: {{}} }}], pool: app }}]
log: {{ access: {{ format: off }} }}
"
        ),
        1,
    )
    .await;
    eventually("the dead one is out", async || running.status().await["pools"][0]["fit"] == 2).await;
    let ask = async |arguments: &[&str]| {
        let all: Vec<_> =
            ["explain", "--online", "--socket", "run/evener.sock"].iter().chain(arguments).copied().collect();
        running.evener(&all).await
    };
    let (code, out, err) = ask(&["http://example.com/a"]).await;
    assert_eq!((code, &*err), (0, ""));
    for line in [
        "  1. app                  any host                 chosen\n".to_owned(),
        "  1. now: it would pass: 2 may come at once\n".to_owned(),
        "  2. now: it would pass: 0 of 3 under way\n".to_owned(),
        "  3. now: it would pass: 0 under way, and 20 may be by what was learnt\n".to_owned(),
        "pool       app: p2c, 0 in flight, 0 waiting\n".to_owned(),
        format!("  {:<24} unfit, weight 1, 0 of ", gone.to_string()),
        format!("  {:<24} fit, weight 1, 0 of ", a.to_string()),
        format!("  {:<24} cost 0: 0 in flight, 0 recent picks, weight ", b.to_string()),
        "now        it would pick 127.0.0.1:".to_owned(),
        " by load\n".to_owned(),
    ] {
        assert!(out.contains(&line), "{line}\n{out}");
    }
    // To ask counts nothing; requests do.
    assert_eq!(get(&running).await, 200);
    assert_eq!(get(&running).await, 200);
    let (_, out, _) = ask(&["http://example.com/a"]).await;
    assert!(out.contains("  1. now: it is over the limit, for "), "{out}");
    let (_, out, _) = ask(&["--client", "192.0.2.1", "http://example.com/a"]).await;
    assert!(out.contains("it would pass: 2 may come at once"), "{out}");
    let (code, _, err) = ask(&["ftp://example.com/a"]).await;
    assert!(code == 1 && err.starts_with("evener: `ftp:` is not served; "), "{err}");
    let (code, _, err) = ask(&["--listener", "none", "http://example.com/a"]).await;
    assert_eq!((code, &*err), (1, "evener: there is no listener `none`\n"));
}

#[test]
fn without_a_file_and_a_process_there_is_nothing_to_ask() {
    let (code, _, err) = told(&Place::with(CONFIG).evener(&["explain", "http://example.com/"]));
    assert!(code == 2 && err.contains("--config <FILE>"), "{err}");
}
