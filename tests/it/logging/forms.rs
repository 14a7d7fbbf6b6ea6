//! What lines say, and which there are.

use serde_json::{Value, json};

use crate::support::{Edge, Endpoint, dead, eventually};

use super::{count, lines_of};

fn config(access: &str, routes: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
admin: {{ bind: 127.0.0.1:0 }}
routes: [{routes}]
log: {{ access: {{ to: DIR/access.log, {access} }} }}
"
    )
}

const HELLO: &str = "{ name: hello, respond: { body: hello, headers: { X-Answer: '1' } } }";

/// With everything that must not be read in a log.
const REQUEST: &str = "GET /a%20b?x=1&token=SECRET HTTP/1.1\r\nHost: example.com\r\nUser-Agent: \"a\\b\"\r\n\
                       Referer: https://b.example/?password=SECRET&y=2\r\nCookie: id=SECRET\r\n\
                       Authorization: Bearer SECRET\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";

#[tokio::test]
async fn no_form_tells_what_is_secret() {
    let json = "request_headers: [referer, cookie, authorization], response_headers: [x-answer]";
    let edge = Edge::start(&config(json, HELLO)).await;
    edge.send(REQUEST).await;
    let first: Value = serde_json::from_str(&lines_of(&edge, 1).await[0]).unwrap();
    assert_eq!(first["target"], "/a%20b?x=1&token=***");
    assert_eq!(
        first["request_headers"],
        json!({
            "referer": "https://b.example/?password=***&y=2",
            "cookie": "***",
            "authorization": "***",
        })
    );
    assert_eq!(first["response_headers"], json!({ "x-answer": "1" }));

    edge.reload(&config("format: combined", HELLO)).await;
    edge.send(REQUEST).await;
    let second = lines_of(&edge, 2).await.remove(1);
    let (before, after) = second.split_once('[').unwrap();
    let (time, after) = after.split_once("] ").unwrap();
    assert_eq!((before, time.len()), ("127.0.0.1 - - ", "01/Jan/2030:00:00:00 +0000".len()), "{second}");
    assert_eq!(
        after,
        r#""GET /a%20b?x=1&token=*** HTTP/1.1" 200 5 "https://b.example/?password=***&y=2" "\"a\\b\"""#
    );

    let template =
        r#"format: "{client} {method} {path} {query} {status} {route} {request_headers.cookie} {cause}""#;
    edge.reload(&config(&format!("{template}, client: prefix"), HELLO)).await;
    edge.send(REQUEST).await;
    let third = lines_of(&edge, 3).await.remove(2);
    assert_eq!(third, "127.0.0.0 GET /a%20b ?x=1&token=*** 200 hello *** -");
}

#[tokio::test]
async fn what_filters_are_shown_is_told_on_no_route() {
    let key = "api_key: { from: [{ query: k }, { header: X-Shop }], forward: true, keys: { shop: 0123456789abcdef } }";
    let jwt =
        "jwt: { algorithms: HS256, from: { query: t }, keys: { secret: 0123456789abcdef0123456789abcdef } }";
    let routes = format!(
        "{{ name: own, match: {{ path: /own }}, respond: {{}}, filters: [{key}, {jwt}], access_log: {{ fields: [target, request_headers.x-shop] }} }}, {HELLO}"
    );
    let fields = "fields: [target, request_headers.x-shop]";
    let edge = Edge::start(&config("", "{ respond: {} }")).await;
    edge.reload(&config(fields, &routes)).await;
    for path in ["/own", "/"] {
        let query = "?k=SECRET&t=SECRET&x=1";
        edge.send(&format!("GET {path}{query} HTTP/1.1\r\nHost: a.example\r\nX-Shop: SECRET\r\n\r\n")).await;
    }
    let lines = lines_of(&edge, 2).await;
    assert!(lines.iter().all(|line| line.contains("***") && !line.contains("SECRET")), "{lines:?}");
    assert!(lines[1].contains("/?k=***&t=***&x=1"), "{lines:?}");
}

#[tokio::test]
async fn routes_have_lines_of_their_own() {
    let own = |path: &str, says: &str| {
        format!("{{ match: {{ path: {path} }}, respond: {{}}, access_log: {says} }}")
    };
    let routes = [
        own("/off", "off"),
        own("/own", "{ fields: [target, ms.total] }"),
        own("/rare", "{ sample: { rest: 0% } }"),
        "{ respond: {} }".to_owned(),
    ];
    let before = config("fields: [target, status]", &routes.join(", "));
    let edge = Edge::start(&before).await;
    for path in ["/off", "/own", "/rare", "/rest"] {
        edge.get(path).await;
    }
    let lines = lines_of(&edge, 2).await;
    assert!(lines[0].starts_with(r#"{"target":"/own","ms":{"total":"#), "{lines:?}");
    assert_eq!(lines[1], r#"{"target":"/rest","status":200}"#);
    eventually("it is counted", async || count(&edge, "written").await == 2).await;
    assert_eq!(count(&edge, "left_out").await, 1);
    let after = before.replace("access_log: off", "access_log: { fields: [route] }");
    assert_eq!(edge.reload(&after).await, "~ routes.route-1: access_log: changed\n");
    edge.get("/off").await;
    assert_eq!(lines_of(&edge, 3).await[2], r#"{"route":"route-1"}"#);
}

#[tokio::test]
async fn what_fails_is_told_though_the_rest_is_not() {
    let routes = format!("{HELLO}, {{ match: {{ path: /gone }}, pool: gone }}");
    let text = config("sample: { errors: 100%, rest: 0% }", &routes);
    let edge =
        Edge::start(&format!("pools: {{ gone: {{ endpoints: ['{}'] }} }}\n{text}", dead().await)).await;
    for path in ["/", "/gone", "/"] {
        edge.get(path).await;
    }
    let lines = lines_of(&edge, 1).await;
    let told: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&told["target"], &told["cause"]), (&json!("/gone"), &json!("connect_failed")), "{told}");
    assert_eq!(told.get("sampled"), None, "all of them have a line");
    assert_eq!(count(&edge, "left_out").await, 2);
}

#[tokio::test]
async fn what_never_became_a_request_has_no_version() {
    let edge = Edge::start(&config("fields: [protocol, status, cause]", HELLO)).await;
    for request in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        edge.send(request).await;
    }
    let lines = lines_of(&edge, 2).await;
    assert_eq!(lines, [r#"{"status":400,"cause":"bad_request"}"#, r#"{"protocol":"HTTP/1.1","status":200}"#]);
    edge.reload(&config("format: combined", HELLO)).await;
    edge.send("nonsense\r\n\r\n").await;
    let third = lines_of(&edge, 3).await.remove(2);
    assert!(third.contains("] \"-\" 400 "), "{third}");
}

#[tokio::test]
async fn stored_answers_have_their_headers() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/x-stored\r\nContent-Length: 2\r\n\r\nhi"
            .to_owned()
    })
    .await;
    let text = config(
        "fields: [cache], response_headers: [content-type]",
        "{ filters: [cache: { in: main }], pool: app }",
    );
    let edge = Edge::start(&format!(
        "server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}\npools: {{ app: {{ endpoints: ['{}'] }} }}\n{text}",
        endpoint.address()
    ))
    .await;
    edge.get("/").await;
    lines_of(&edge, 1).await;
    edge.get("/").await;
    let second = lines_of(&edge, 2).await.remove(1);
    assert_eq!(second, r#"{"cache":"hit","response_headers":{"content-type":"text/x-stored"}}"#);
}

#[tokio::test]
async fn connections_are_told_as_their_listener_says() {
    let listener = |name: &str, says: &str| {
        format!("{name}: {{ bind: 127.0.0.1:0, tcp: {{ pool: gone, access_log: {says} }} }}")
    };
    let edge = Edge::start(&format!(
        "listeners: {{ {}, {} }}
pools: {{ gone: {{ endpoints: ['{}'] }} }}
log: {{ access: {{ to: DIR/access.log }} }}
",
        listener("silent", "off"),
        listener("told", "{ fields: [listener, ended] }"),
        dead().await
    ))
    .await;
    for address in edge.addresses() {
        let mut client = crate::support::Client::connect(address).await;
        client.rest().await;
    }
    assert_eq!(lines_of(&edge, 1).await[0], r#"{"listener":"told","ended":"connect_failed"}"#);
}
