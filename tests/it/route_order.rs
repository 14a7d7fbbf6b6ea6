//! What `diff` says of the order of routes, beside what the router makes of it.

use std::path::Path;

use evener::config::{Loaded, Outline, Route, diff, load_text};
use evener::router::{Parts, Router, Rule};
use http::{HeaderMap, Method};

/// Routes that meet each other in many ways.
const MATCHES: [&str; 15] = [
    "{ }",
    "{ methods: [GET] }",
    "{ query: { a: '1' } }",
    "{ path: / }",
    "{ path: /x }",
    "{ path: /x/, methods: [GET] }",
    "{ path: /x, query: { a: '1' } }",
    "{ path: /x, query: { a: '1' }, methods: [GET] }",
    "{ path: { exact: /x }, methods: [GET, POST] }",
    "{ path: { exact: /x }, clients: [10.0.0.0/8] }",
    "{ path: { regex: ^/x } }",
    "{ path: { regex: ^/x }, methods: [GET] }",
    "{ path: { regex: /y$ } }",
    "{ host: [a.example, '*.example'], path: /x }",
    "{ host: a.example, path: /x/y }",
];

fn load(matches: &[(usize, &str)]) -> Loaded {
    let route = |(name, matches): &(usize, &str)| {
        format!("  - {{ name: r{name}, match: {matches}, respond: {{}} }}\n")
    };
    let routes: String = matches.iter().map(route).collect();
    let text = format!("listeners: {{ web: {{ bind: 127.0.0.1:80 }} }}\nroutes:\n{routes}");
    load_text("x.yaml", Path::new(""), &text).and_then(Loaded::sound).unwrap()
}

fn rule(route: &Route) -> Rule<'_> {
    Rule { name: &route.name, listeners: &route.listeners, matches: &route.matches }
}

/// The names of the routes that all kinds of requests take.
fn taken(loaded: &Loaded) -> Vec<Option<String>> {
    let routes = &loaded.config.routes;
    let router = Router::build(routes.iter().map(rule));
    let mut taken = Vec::new();
    for host in ["a.example", "b.example", "other"] {
        for path in ["/", "/x", "/x/y", "/z/y"] {
            for (query, method) in
                [(None, Method::GET), (Some("a=1"), Method::GET), (Some("a=1"), Method::PUT)]
            {
                let headers = &HeaderMap::new();
                let client_ip = [10, 0, 0, 1].into();
                let parts = Parts { listener: 0, host, path, query, method: &method, headers, client_ip };
                taken.push(router.find(&parts).map(|found| routes[found.0].name.to_string()));
            }
        }
    }
    taken
}

fn outline(loaded: &Loaded) -> Outline {
    Outline::of(&loaded.config, &loaded.source).unwrap()
}

#[test]
fn an_order_that_the_router_minds_is_told() {
    let all: Vec<_> = MATCHES.into_iter().enumerate().collect();
    let before = load(&all);
    let (mut minded, mut told) = (0, 0);
    for one in 0..all.len() {
        for other in 0..one {
            let mut swapped = all.clone();
            swapped.swap(one, other);
            let after = load(&swapped);
            let diff = diff(&outline(&before), &outline(&after));
            let is_minded = taken(&before) != taken(&after);
            assert!(!is_minded || !diff.is_empty(), "{one} and {other}: {diff}");
            minded += usize::from(is_minded);
            told += usize::from(!diff.is_empty());
        }
    }
    let pairs = all.len() * (all.len() - 1) / 2;
    assert!(0 < minded && minded <= told && told < pairs / 2, "{minded} minded, {told} told of {pairs}");
}
