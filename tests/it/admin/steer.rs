//! Changes over the admin listener: what they come to, who may make them, and what is noted of them.

use serde_json::{Value, json};

use crate::support::{Edge, Endpoint, Response, eventually};

use super::{ask, call, pool, read, with_admin};

pub(super) const OPERATE: &str = "operates-all-there-is";
pub(super) const READ: &str = "reads-but-never-writes";

fn admin() -> String {
    let tokens =
        format!("deploy: {{ token: {OPERATE}, scope: operate }}, grafana: {{ token: {READ}, scope: read }}");
    format!("bind: 127.0.0.1:0, tokens: {{ {tokens} }}")
}

/// The fields of a change by this token.
pub(super) fn fields(token: &str) -> String {
    format!("Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n")
}

/// The answer to a change with these fields.
async fn order_with(edge: &Edge, line: &str, fields: &str, body: &str) -> Response {
    call(edge.admin_address(), line, &format!("{fields}Content-Length: {}\r\n", body.len()), body).await
}

async fn order(edge: &Edge, line: &str, body: &str) -> (u16, Value) {
    let told = order_with(edge, line, &fields(OPERATE), body).await;
    (told.status, serde_json::from_str(told.text()).unwrap())
}

async fn told(edge: &Edge, path: &str) -> Value {
    serde_json::from_str(read(edge, path).await.text()).unwrap()
}

/// Two endpoints, of which the first gets all while it is fit.
struct Site {
    edge: Edge,
    first: Endpoint,
    second: Endpoint,
}

impl Site {
    async fn start() -> Self {
        let (first, second) = (Endpoint::answering("first").await, Endpoint::answering("second").await);
        let pools = format!(
            "{}, {}",
            pool("app", "balance: first,", &[first.address(), second.address()]),
            pool("next", "", &[second.address()])
        );
        let split = "{ name: shop, match: { path: /shop }, split: { to: [{ pool: app }, { pool: next, weight: 3 }], by: client_ip } }";
        let edge = Edge::start(&with_admin(&admin(), &pools, &format!("{split}, {{ pool: app }}"))).await;
        Self { edge, first, second }
    }

    /// The path of the first endpoint.
    fn path(&self) -> String {
        format!("/v1/pools/app/endpoints/{}", self.first.address())
    }

    async fn who(&self) -> String {
        self.edge.get("/").await.text().to_owned()
    }

    async fn steer(&self, line: &str, body: &str) -> (u16, Value) {
        let (method, rest) = line.split_once(' ').unwrap();
        order(&self.edge, &format!("{method} {}{rest}", self.path()), body).await
    }
}

#[tokio::test]
async fn endpoints_are_drained_taken_in_weighted_and_left_out() {
    let site = Site::start().await;
    assert_eq!(site.who().await, "first");
    for (line, body, state, weight, who) in [
        ("POST /drain", "{}", "drained", 1, "second"),
        ("POST /drain", "", "drained", 1, "second"),
        ("POST /undrain", "{}", "fit", 1, "first"),
        ("PUT /weight", "{\"weight\":0}", "drained", 0, "second"),
        ("PUT /weight", "{\"weight\":7}", "fit", 7, "first"),
        ("POST /eject", "{\"for\":\"1h\"}", "ejected", 7, "second"),
        ("POST /undrain", "{}", "fit", 7, "first"),
    ] {
        let (status, endpoint) = site.steer(line, body).await;
        assert_eq!(
            (status, &endpoint["state"], &endpoint["weight"]),
            (200, &json!(state), &json!(weight)),
            "{line}"
        );
        assert_eq!(site.who().await, who, "{line} {body}");
    }
    site.steer("POST /eject", "{\"for\":\"1s\"}").await;
    assert_eq!(site.who().await, "second");
    eventually("it is back", async || site.who().await == "first").await;
}

#[tokio::test]
async fn splits_are_weighted() {
    let site = Site::start().await;
    let shop = "PUT /v1/splits/shop/pools/app/weight";
    let (status, split) = order(&site.edge, shop, "{\"weight\":0}").await;
    assert_eq!((status, &split["to"][0]["share_percent"]), (200, &json!(0.0)));
    assert_eq!(site.edge.get("/shop").await.text(), "second");
    let (status, problem) =
        order(&site.edge, "PUT /v1/splits/shop/pools/next/weight", "{\"weight\":0}").await;
    assert_eq!(status, 409);
    assert!(
        problem["error"].as_str().unwrap().starts_with("`next` is the last one with a weight"),
        "{problem}"
    );
    let (status, problem) = order(&site.edge, "POST /v1/splits/shop/canary", "{\"order\":\"pause\"}").await;
    assert_eq!((status, &problem["error"]), (409, &json!("the split of route `shop` has no canary")));
    // A pool of a split is no endpoint, whatever stands in the path.
    let (status, _) = order(&site.edge, "PUT /v1/pools/shop/endpoints/next/weight", "{\"weight\":1}").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_configuration_is_read_again_and_taken_back() {
    let text = |status| with_admin(&admin(), "", &format!("{{ respond: {{ status: {status} }} }}"));
    let edge = Edge::start(&text(201)).await;
    edge.reload(&text(202)).await;
    let (status, report) = order(&edge, "POST /v1/reload", "{}").await;
    assert_eq!((status, &report["generation"]), (200, &json!(2)));
    let (status, report) = order(&edge, "POST /v1/rollback", "").await;
    assert_eq!((status, &report["generation"], edge.get("/").await.status), (200, &json!(3), 201));
    let (status, problem) = order(&edge, "POST /v1/rollback", "{\"to\":99}").await;
    assert_eq!((status, edge.get("/").await.status), (422, 201));
    assert!(problem["error"].as_str().unwrap().contains("99"), "{problem}");
    let (status, report) = order(&edge, "POST /v1/reload", "{\"probation\":{\"lasts\":\"1s\"}}").await;
    assert_eq!((status, &report["generation"], edge.get("/").await.status), (202, &json!(4), 202));
    eventually("it has passed", async || told(&edge, "/v1/history").await[3]["standing"] == "serving").await;
}

#[tokio::test]
async fn stored_answers_are_removed() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok".to_owned()
    })
    .await;
    let routes = "{ filters: [cache: { in: main }], pool: app }";
    let text = with_admin(&admin(), &pool("app", "", &[endpoint.address()]), routes);
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{}} }} }}\n{text}")).await;
    for (line, body) in [
        ("POST /v1/purge", "{\"all\":true}"),
        ("POST /v1/caches/main/purge", "{\"url\":\"http://localhost/a\"}"),
        ("POST /v1/caches/main/purge", "{\"prefix\":\"http://localhost/\"}"),
    ] {
        edge.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let before = endpoint.requests().len();
        edge.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(endpoint.requests().len(), before, "it is stored");
        assert_eq!(
            order(&edge, line, body).await,
            (200, json!({ "answers": 1, "is_complete": true })),
            "{body}"
        );
    }
    assert_eq!(order(&edge, "POST /v1/caches/mian/purge", "{\"all\":true}").await.0, 404);
    for body in ["{}", "{\"all\":false}", "{\"all\":true,\"tag\":\"x\"}", "{\"url\":\"/a\"}"] {
        assert_eq!(order(&edge, "POST /v1/purge", body).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn a_change_is_made_only_if_nobody_has_changed_anything_there_since() {
    let site = Site::start().await;
    let path = site.path();
    let version = async || read(&site.edge, &path).await.header("etag").unwrap().to_owned();
    let drain = async |tag: &str| {
        let fields = format!("{}If-Match: {tag}\r\n", fields(OPERATE));
        let told = order_with(&site.edge, &format!("POST {path}/drain"), &fields, "{}").await;
        (told.status, told.header("etag").map(str::to_owned))
    };
    let first = version().await;
    site.steer("PUT /weight", "{\"weight\":7}").await;
    let second = version().await;
    assert_ne!(first, second);
    for stale in [first.as_str(), "\"x\"", &format!("W/{second}"), ""] {
        assert_eq!(drain(stale).await.0, 412, "{stale}");
        assert_eq!(site.who().await, "first");
    }
    let (status, third) = drain(&format!("\"x\", {second}")).await;
    assert_eq!((status, third.as_ref() == Some(&second)), (200, false));
    assert_eq!((version().await, site.who().await), (third.unwrap(), "second".to_owned()));
    assert_eq!(drain("*").await.0, 200);
}

#[tokio::test]
async fn a_version_is_another_after_every_order() {
    let site = Site::start().await;
    let path = site.path();
    let tag = async |path: &str| read(&site.edge, path).await.header("etag").unwrap().to_owned();
    let mut tags = vec![(tag(&path).await, tag("/v1/pools/app").await)];
    for order in ["{\"for\":\"1h\"}", "{\"for\":\"30m\"}", "{\"for\":\"1h\"}"] {
        assert_eq!(site.steer("POST /eject", order).await.0, 200);
        let (endpoint, pool) = (tag(&path).await, tag("/v1/pools/app").await);
        assert!(tags.iter().all(|(one, other)| *one != endpoint && *other != pool), "{order}");
        tags.push((endpoint, pool));
    }
    let weigh = async |tag: &str| {
        let fields = format!("{}If-Match: {tag}\r\n", fields(OPERATE));
        order_with(&site.edge, &format!("PUT {path}/weight"), &fields, "{\"weight\":3}").await.status
    };
    // That of the pool will do, as long as nobody has changed anything in it.
    let (_, pool) = tags.pop().unwrap();
    let other = format!("PUT /v1/pools/app/endpoints/{}/weight", site.second.address());
    assert_eq!((weigh(&tags[0].1).await, weigh(&pool).await, weigh(&pool).await), (412, 200, 412));
    let pool = tag("/v1/pools/app").await;
    assert_eq!(order(&site.edge, &other, "{\"weight\":9}").await.0, 200);
    assert_eq!(weigh(&pool).await, 412);
}

#[tokio::test]
async fn levels_have_versions_and_purges_have_none() {
    let site = Site::start().await;
    let stale = format!("{}If-Match: \"x\"\r\n", fields(OPERATE));
    for line in ["POST /v1/purge", "POST /v1/caches/main/purge"] {
        let told = order_with(&site.edge, line, &stale, "{\"all\":true}").await;
        assert!(told.status == 412 && told.text().contains("no version"), "{}", told.text());
    }
    // The messages of a program in the tests are its own.
    assert_eq!(order_with(&site.edge, "PUT /v1/log", &stale, "{\"level\":\"debug\"}").await.status, 409);
}

#[tokio::test]
async fn every_change_that_is_refused_is_noted_with_what_was_wanted() {
    let site = Site::start().await;
    let path = site.path();
    let (first, operate) = (site.first.address(), fields(OPERATE));
    let stale = format!("{operate}If-Match: \"x\"\r\n");
    let plain = operate.replace("application/json", "text/plain");
    let large = format!("{{\"weight\":0{}}}", " ".repeat(64 << 10));
    let weigh = "PUT /v1/pools/{pool}/endpoints/{endpoint}/weight";
    let endpoint = format!("app/{first}");
    let misplaced = "{\"weight\":\"hunter2-secret\"}";
    for (line, fields, body, what, target, request, status) in [
        (format!("PUT {path}/weight"), &stale, "{\"weight\":0}", "weight", Some(&*endpoint), weigh, 412),
        (format!("PUT {path}/weight"), &operate, "{", "weight", Some(&endpoint), weigh, 400),
        (format!("PUT {path}/weight"), &operate, misplaced, "weight", Some(&endpoint), weigh, 400),
        (format!("PUT {path}/weight"), &operate, &large, "weight", Some(&endpoint), weigh, 413),
        (format!("PUT {path}/weight"), &plain, "{}", "weight", Some(&endpoint), weigh, 415),
        (
            "POST /v1/splits/shop/canary".to_owned(),
            &stale,
            "{\"order\":\"pause\"}",
            "canary",
            Some("shop"),
            "POST /v1/splits/{route}/canary",
            412,
        ),
        ("POST /v1/reload".to_owned(), &stale, "{}", "reload", None, "POST /v1/reload", 412),
        ("PUT /v1/log".to_owned(), &plain, "{}", "log", None, "PUT /v1/log", 415),
        ("POST /v1/purge".to_owned(), &operate, "{}", "purge", None, "POST /v1/purge", 400),
        ("DELETE /v1/status".to_owned(), &operate, "{}", "request", None, "DELETE /v1/status", 405),
        ("POST /v1/nothing".to_owned(), &operate, "{}", "request", None, "POST /v1/nothing", 404),
    ] {
        let before = told(&site.edge, "/v1/audit").await.as_array().unwrap().len();
        let answer = order_with(&site.edge, &line, fields, body).await;
        assert_eq!(answer.status, status, "{line}");
        let noted = told(&site.edge, "/v1/audit").await;
        let [entry] = &noted.as_array().unwrap()[before..] else { panic!("{line}: {noted:#?}") };
        let told = ["what", "target", "request", "who"].map(|key| entry[key].as_str());
        assert_eq!(told, [Some(what), target, Some(request), Some("token deploy")], "{line}");
        assert_eq!((&entry["result"], &entry["status"]), (&json!("refused"), &json!(status)), "{line}");
        let problem: Value = serde_json::from_str(answer.text()).unwrap();
        let (error, reason) = (problem["error"].as_str().unwrap(), entry["reason"].as_str().unwrap());
        // What stands there may be a secret.
        let is_unsaid = error.starts_with("the body is not understood: ")
            && reason.starts_with("the body is not understood at line 1 column ");
        assert!(is_unsaid || error.starts_with(reason), "{entry}");
        assert!(!reason.contains("hunter2") && (body != misplaced || error.contains("hunter2")), "{entry}");
    }
    // What only looks is no change, and who has made a change has noted it.
    let before = told(&site.edge, "/v1/audit").await.as_array().unwrap().len();
    read(&site.edge, "/v1/nothing").await;
    assert_eq!(
        order(&site.edge, "PUT /v1/pools/no/endpoints/127.0.0.1:1/weight", "{\"weight\":1}").await.0,
        404
    );
    assert_eq!(order(&site.edge, "POST /v1/rollback", "{\"to\":99}").await.0, 422);
    assert_eq!(told(&site.edge, "/v1/audit").await.as_array().unwrap().len(), before + 2);
}

#[tokio::test]
async fn of_two_that_have_looked_at_the_same_one_comes_too_late() {
    let text = |status| with_admin(&admin(), "", &format!("{{ respond: {{ status: {status} }} }}"));
    let edge = Edge::start(&text(201)).await;
    edge.reload(&text(202)).await;
    let version = read(&edge, "/v1/history").await.header("etag").unwrap().to_owned();
    let fields = format!("{}If-Match: {version}\r\n", fields(OPERATE));
    let roll_back = || order_with(&edge, "POST /v1/rollback", &fields, "{}");
    let told = tokio::join!(roll_back(), roll_back(), roll_back());
    let mut told = [told.0.status, told.1.status, told.2.status];
    told.sort_unstable();
    assert_eq!(told, [200, 412, 412]);
    assert_eq!(edge.get("/").await.status, 201);
    assert_eq!(self::told(&edge, "/v1/history").await.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_noted_is_written_by_the_time_the_edge_has_stopped() {
    let admin = format!("{}, audit_log: DIR/audit.log", admin());
    let edge = Edge::start(&with_admin(&admin, "", "{ respond: {} }")).await;
    order(&edge, "POST /v1/rollback", "{\"to\":99}").await;
    let folder = edge.stop_and_keep().await;
    let noted = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert!(noted.contains("\"what\":\"rollback\"") && noted.ends_with('\n'), "{noted}");
}

#[tokio::test]
async fn a_reload_that_is_refused_leaves_both_logs_as_they_are() {
    let routes = "{ respond: {} }";
    let logged = format!("log: {{ access: {{ to: LOG }} }}\n{}", with_admin(&admin(), "", routes));
    let edge = Edge::start(&logged).await;
    let other = format!("{}, audit_log: /nonexistent/audit.log", admin());
    let text = format!("log: {{ access: {{ to: DIR/other.log }} }}\n{}", with_admin(&other, "", routes));
    let refused = edge.try_reload(&text).await.unwrap_err();
    assert!(refused.contains("audit log /nonexistent/audit.log: "), "{refused}");
    edge.get("/here").await;
    assert_eq!(edge.log_of(1).await[0]["target"], "/here");
}

#[tokio::test]
async fn what_is_no_order_changes_nothing() {
    let site = Site::start().await;
    let path = format!("PUT {}/weight", site.path());
    let large = format!("{{\"weight\":0{}}}", " ".repeat(64 << 10));
    for (fields, body, expected) in [
        (fields(OPERATE).replace("application/json", "text/plain"), "{\"weight\":0}", 415),
        (fields(OPERATE).replace("Content-Type: application/json\r\n", ""), "{\"weight\":0}", 415),
        (fields(OPERATE).replace("application/json", "application/x-www-form-urlencoded"), "weight=0", 415),
        (fields(OPERATE), &*large, 413),
        (fields(OPERATE), "{\"weight\":0", 400),
        (fields(OPERATE), "{\"weight\":-1}", 400),
        (fields(OPERATE), "{\"weight\":1001}", 400),
        (fields(OPERATE), "{\"weight\":0,\"wait\":1}", 400),
        (fields(OPERATE), "{\"weight\":0,\"weight\":0}", 400),
        (fields(OPERATE), "[]", 400),
        (fields(OPERATE), "[0]", 400),
        (fields(OPERATE), "\"0\"", 400),
        (fields(OPERATE), "", 400),
    ] {
        let told = order_with(&site.edge, &path, &fields, body).await;
        assert_eq!(told.status, expected, "{fields}{}", &body[..body.len().min(80)]);
        let problem: Value = serde_json::from_str(told.text()).unwrap();
        assert!(!problem["help"].as_str().unwrap().is_empty());
    }
    assert_eq!(site.who().await, "first");
    // What has nothing to say needs no name for it.
    let unnamed = fields(OPERATE).replace("Content-Type: application/json\r\n", "");
    let told = order_with(&site.edge, &format!("POST {}/undrain", site.path()), &unnamed, "").await;
    assert_eq!(told.status, 200);
    // Nobody is told that they may ask from elsewhere.
    let told = ask(&site.edge, "OPTIONS /v1/reload", "Host: localhost\r\nOrigin: http://localhost\r\n").await;
    assert_eq!((told.status, told.header("allow")), (405, Some("POST")));
    assert_eq!(told.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn every_change_is_noted_with_who_has_made_it() {
    let site = Site::start().await;
    site.steer("POST /drain", "{}").await;
    site.steer("POST /drain", "{}").await;
    order(&site.edge, "POST /v1/pools/app/endpoints/127.0.0.1:1/drain", "{}").await;
    order_with(&site.edge, "POST /v1/reload", &fields(READ), "{}").await;
    let noted = told(&site.edge, "/v1/audit").await;
    let told: Vec<_> = noted
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| ["what", "result", "who"].map(|key| entry[key].as_str().unwrap()).join(" "))
        .collect();
    assert_eq!(
        told,
        [
            "drain changed token deploy",
            "drain unchanged token deploy",
            "drain refused token deploy",
            "request denied token grafana"
        ]
    );
    assert_eq!(noted[0]["target"], format!("app/{}", site.first.address()));
    assert_eq!((&noted[0]["before"], &noted[0]["after"]), (&json!("weight 1"), &json!("weight 1, in drain")));
    assert!(noted[0]["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!((&noted[3]["request"], &noted[3]["status"]), (&json!("POST /v1/reload"), &json!(403)));
    assert_eq!(noted[3].get("target"), None, "nobody looked at what it was to be done to");
    assert_eq!(site.second.requests().len(), 0);
}

#[tokio::test]
async fn without_a_token_may_be_only_health() {
    let edge =
        Edge::start(&with_admin(&format!("{}, anonymous: health", admin()), "", "{ respond: {} }")).await;
    for (path, expected) in
        [("/healthz", 200), ("/readyz", 200), ("/metrics", 401), ("/v1/status", 401), ("/v1/x", 401)]
    {
        let told = read(&edge, path).await;
        assert_eq!(told.status, expected, "{path}");
        assert_eq!(told.header("www-authenticate").is_some(), expected == 401);
    }
    for token in [READ, OPERATE] {
        for path in ["GET /metrics", "GET /v1/status"] {
            assert_eq!(ask(&edge, path, &fields(token)).await.status, 200, "{path}");
        }
    }
    // A token that is taken from the file is good for nothing from then on.
    let text = with_admin("bind: 127.0.0.1:0, anonymous: health", "", "{ respond: {} }");
    edge.reload(&text).await;
    assert_eq!(ask(&edge, "GET /metrics", &fields(OPERATE)).await.status, 401);
}
