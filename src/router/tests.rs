use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;

use super::*;
use crate::config::spec::MatchSpec;
use crate::types::RouteName;

mod oracle;

/// Rules that own what the router borrows.
struct Rules(Vec<(RouteName, Vec<usize>, MatchSpec)>);

impl Rules {
    /// Routes `r0`, `r1` … by what stands under `match` in a file. The listener `lN` has the number N.
    fn read(matches: impl IntoIterator<Item = serde_json::Value>) -> Self {
        let number = |name: &crate::types::ListenerName| name.as_str()[1..].parse().unwrap();
        let rule = |(index, value)| {
            let spec: MatchSpec = serde_json::from_value(value).unwrap();
            (format!("r{index}").parse().unwrap(), spec.listeners.iter().map(number).collect(), spec)
        };
        Self(matches.into_iter().enumerate().map(rule).collect())
    }

    fn router(&self) -> Router {
        Router::build(self.0.iter().map(|(name, listeners, matches)| Rule { name, listeners, matches }))
    }
}

/// A request by its parts, GET from 10.0.0.1 on listener 0 unless changed.
#[derive(Clone, Debug)]
struct Request {
    listener: usize,
    host: String,
    path: String,
    query: Option<String>,
    method: Method,
    headers: HeaderMap,
    client: std::net::IpAddr,
}

impl Request {
    fn new(host: &str, path: &str) -> Self {
        Self {
            listener: 0,
            host: host.to_owned(),
            path: path.to_owned(),
            query: None,
            method: Method::GET,
            headers: HeaderMap::new(),
            client: [10, 0, 0, 1].into(),
        }
    }

    fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            listener: self.listener,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
            client_ip: self.client,
        }
    }
}

fn found(router: &Router, request: &Request) -> Option<usize> {
    router.find(&request.parts()).map(|route| route.0)
}

fn pairs(unreachable: &[(RouteId, RouteId)]) -> Vec<(usize, usize)> {
    unreachable.iter().map(|(dead, shadow)| (dead.0, shadow.0)).collect()
}

#[test]
fn without_routes_nothing_is_found() {
    let router = Rules::read([]).router();
    assert_eq!(found(&router, &Request::new("a", "/")), None);
    assert!(router.explain(&Request::new("a", "/").parts()).is_empty());
}

#[test]
fn the_host_goes_before_the_path_and_the_path_before_conditions() {
    let rules = Rules::read([
        json!({ "path": { "exact": "/x" }, "methods": ["GET"] }),
        json!({ "host": "*.example.com", "path": "/" }),
        json!({ "host": "www.example.com" }),
        json!({ "host": "www.example.com", "path": "/api", "headers": { "X-Canary": "1" } }),
        json!({ "host": "www.example.com", "path": "/api/v1" }),
    ]);
    let router = rules.router();
    assert_eq!(found(&router, &Request::new("www.example.com", "/x")), Some(2));
    assert_eq!(found(&router, &Request::new("a.example.com", "/x")), Some(1));
    assert_eq!(found(&router, &Request::new("example.com", "/x")), Some(0));
    let canary = |path| Request::new("www.example.com", path).with_header("x-canary", "1");
    assert_eq!(found(&router, &canary("/api/v1/x")), Some(4));
    assert_eq!(found(&router, &canary("/api/v2")), Some(3));
    assert_eq!(router.effective_order(), [4, 3, 2, 1, 0].map(RouteId));
}

#[test]
fn within_a_host_paths_are_exact_then_expressions_then_prefixes_then_any() {
    let rules = Rules::read([
        json!({}),
        json!({ "path": "/a/" }),
        json!({ "path": "/a/b/" }),
        json!({ "path": { "regex": "^/a/b$|^/z$" } }),
        json!({ "path": { "regex": "^/a/b" } }),
        json!({ "path": { "exact": "/a/b" } }),
        json!({ "path": "/" }),
    ]);
    let router = rules.router();
    let route = |path| found(&router, &Request::new("h", path));
    assert_eq!(route("/a/b"), Some(5));
    assert_eq!(route("/z"), Some(3));
    assert_eq!(route("/a/bc"), Some(4));
    assert_eq!(route("/a/c"), Some(1));
    assert_eq!(route("/q"), Some(6));
    assert_eq!(router.effective_order(), [5, 3, 4, 2, 1, 6, 0].map(RouteId));
}

#[test]
fn a_route_whose_conditions_fail_gives_way_down_to_routes_without_host() {
    let only_post = |mut spec: serde_json::Value| {
        spec["methods"] = json!(["POST"]);
        spec
    };
    let rules = Rules::read([
        only_post(json!({ "host": "www.example.com", "path": { "exact": "/a" } })),
        only_post(json!({ "host": "www.example.com" })),
        only_post(json!({ "host": "*.example.com", "path": "/a" })),
        only_post(json!({ "host": "*.com" })),
        json!({ "path": "/a/" }),
    ]);
    assert_eq!(found(&rules.router(), &Request::new("www.example.com", "/a")), Some(4));
}

#[test]
fn both_spellings_of_a_prefix_are_one_so_conditions_decide() {
    let rules = Rules::read([
        json!({ "path": "/api/" }),
        json!({ "path": "/api", "methods": ["GET"] }),
        json!({ "path": "/api" }),
    ]);
    let router = rules.router();
    assert_eq!(found(&router, &Request::new("h", "/api/x")), Some(1));
    assert_eq!(router.effective_order(), [1, 0, 2].map(RouteId));
    assert_eq!(pairs(&router.unreachable()), [(2, 0)]);
}

#[test]
fn routes_with_one_expression_are_ranked_by_conditions() {
    let rules = Rules::read([
        json!({ "path": { "regex": "^/a" } }),
        json!({ "path": { "regex": "b$" }, "methods": ["GET"] }),
        json!({ "path": { "regex": "^/a" }, "headers": { "x-canary": "1" } }),
    ]);
    let router = rules.router();
    let canary = Request::new("h", "/ab").with_header("x-canary", "1");
    assert_eq!(found(&router, &canary), Some(2));
    assert_eq!(router.effective_order(), [2, 0, 1].map(RouteId));
}

#[test]
fn a_get_route_is_not_for_head() {
    let router = Rules::read([json!({ "methods": ["GET"] })]).router();
    let head = Request { method: Method::HEAD, ..Request::new("h", "/") };
    assert_eq!(found(&router, &head), None);
}

#[test]
fn explains_each_candidate_in_the_order_of_trying() {
    let rules = Rules::read([
        json!({ "path": "/api/" }),
        json!({ "host": "www.example.com", "headers": { "X-Canary": "1" }, "methods": ["GET", "POST"] }),
        json!({ "host": "www.example.com", "path": { "exact": "/apiy" }, "listeners": ["l1"] }),
        json!({ "host": ["*.example.com", "www.example.com"], "query": { "debug": { "present": false } } }),
        json!({ "host": "other.example.com" }),
        json!({ "path": "/apix" }),
        json!({}),
        json!({ "methods": ["PUT"], "clients": ["192.0.2.0/24"] }),
    ]);
    let router = rules.router();
    let request = Request {
        query: Some("debug=1".to_owned()),
        method: Method::PUT,
        ..Request::new("www.example.com", "/apix")
    };
    let lines: Vec<String> = router.explain(&request.parts()).iter().map(Candidate::to_string).collect();
    let expected = [
        "r2: path is /apix, wanted = /apiy; listener is another, wanted l1",
        "r1: method is PUT, wanted GET, POST; header x-canary is absent, wanted = 1",
        "r3: query parameter debug is present, wanted absent",
        "r5: chosen",
        "r0: path /api/ is no prefix of /apix",
        "r7: client is 10.0.0.1, wanted 192.0.2.0/24",
        "r6: not reached, a more specific route was chosen",
    ];
    assert_eq!(lines, expected);
    assert_eq!(router.of_other_hosts("www.example.com"), 1);
}

#[test]
fn reasons_tell_what_was_found_and_what_is_wanted() {
    let line = |spec: serde_json::Value| {
        let request = Request::new("h", "/apix").with_header("x-a", "0").with_header("x-a", "2");
        let request = request.with_header("cookie", "beta=no");
        Rules::read([spec]).router().explain(&request.parts())[0].verdict.to_string()
    };
    assert_eq!(line(json!({ "path": "/api/" })), "path /api/ is no prefix of /apix");
    assert_eq!(line(json!({ "path": { "regex": "^/v1" } })), "path is /apix, wanted ~ ^/v1");
    assert_eq!(line(json!({ "listeners": ["l1"] })), "listener is another, wanted l1");
    assert_eq!(line(json!({ "clients": ["192.0.2.0/24"] })), "client is 10.0.0.1, wanted 192.0.2.0/24");
    assert_eq!(line(json!({ "headers": { "x-a": { "regex": "1" } } })), "header x-a is 0 and 2, wanted ~ 1");
    assert_eq!(line(json!({ "cookies": { "beta": "yes" } })), "cookie beta is no, wanted = yes");
    assert_eq!(
        line(json!({ "query": { "q": { "present": true } } })),
        "query parameter q is absent, wanted present"
    );
}

#[test]
fn a_route_is_unreachable_behind_an_earlier_one_that_takes_as_much() {
    let rules = Rules::read([
        json!({ "path": "/a", "methods": ["GET", "POST"], "headers": { "x": { "regex": "^v" } } }),
        json!({ "path": "/a/", "methods": ["POST"], "headers": { "X": "v1" } }),
        json!({ "path": { "regex": "^/b" } }),
        json!({ "path": "/b/c", "clients": ["10.0.0.0/8"] }),
        json!({ "path": "/" }),
        json!({}),
    ]);
    assert_eq!(pairs(&rules.router().unreachable()), [(1, 0), (3, 2), (5, 4)]);
}

#[test]
fn a_route_that_keeps_any_request_is_reachable() {
    let rules = Rules::read([
        json!({ "host": "a.example.com", "path": "/x" }),
        json!({ "host": ["a.example.com", "b.example.com"], "path": "/x" }),
        json!({ "host": "*.example.com", "path": "/x" }),
        json!({ "path": "/api", "methods": ["GET"] }),
        json!({ "path": "/api", "methods": ["GET", "POST"] }),
        json!({ "path": { "regex": "^/api/" } }),
        json!({ "path": "/api/" }),
        json!({ "path": { "regex": "^/c?" }, "headers": { "x": { "present": true } } }),
        json!({ "path": "/c", "headers": { "x": { "present": false } } }),
        json!({ "path": "/d", "headers": { "x": { "present": false } } }),
        json!({ "path": "/d", "headers": { "x": "1" } }),
        json!({ "path": "/d", "headers": { "y": "1" } }),
        json!({ "path": "/d", "cookies": { "x": "1" } }),
    ]);
    assert_eq!(pairs(&rules.router().unreachable()), []);
}

#[test]
fn a_route_is_unreachable_only_if_it_is_under_all_of_its_hosts() {
    let rules = Rules::read([
        json!({ "host": "a.example.com" }),
        json!({ "host": "b.example.com" }),
        json!({ "host": ["a.example.com", "b.example.com"] }),
    ]);
    assert_eq!(pairs(&rules.router().unreachable()), [(2, 0)]);
}
