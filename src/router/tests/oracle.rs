//! The router against a scan over all routes and hosts that knows nothing of tables.

use std::cmp::Reverse;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::config::spec::{PathSpec, ValueSpec};
use crate::types::HostPattern;

/// What a request carries, before it is written into headers and a query.
#[derive(Clone, Debug)]
struct Wire {
    request: Request,
    headers: Vec<&'static str>,
    query: Vec<&'static str>,
    cookies: Vec<&'static str>,
}

// === The oracle ===

fn host_rank(pattern: Option<&HostPattern>) -> (u8, Reverse<usize>) {
    match pattern {
        Some(HostPattern::Exact(_)) => (0, Reverse(0)),
        Some(HostPattern::Wildcard(suffix)) => (1, Reverse(suffix.len())),
        None => (2, Reverse(0)),
    }
}

/// A regular expression ranks by the first route with the same host that has it.
fn path_rank(
    rules: &Rules,
    host: Option<&HostPattern>,
    path: Option<&PathSpec>,
) -> (u8, usize, Reverse<usize>) {
    let first = || {
        rules
            .0
            .iter()
            .position(|(_, _, spec)| spec.path.as_ref() == path && hosts(spec).contains(&host))
            .unwrap()
    };
    match path {
        Some(PathSpec::Exact(_)) => (0, 0, Reverse(0)),
        Some(PathSpec::Regex(_)) => (1, first(), Reverse(0)),
        Some(PathSpec::Prefix(text)) => (2, 0, Reverse(text.trim_end_matches('/').len())),
        None => (3, 0, Reverse(0)),
    }
}

fn hosts(spec: &MatchSpec) -> Vec<Option<&HostPattern>> {
    match &spec.host {
        None => vec![None],
        Some(hosts) => hosts.as_slice().iter().map(Some).collect(),
    }
}

fn count(spec: &MatchSpec) -> usize {
    let lists = [spec.listeners.is_empty(), spec.methods.is_empty(), spec.clients.is_empty()];
    lists.iter().filter(|empty| !**empty).count() + spec.headers.len() + spec.query.len() + spec.cookies.len()
}

fn path_matches(path: Option<&PathSpec>, found: &str) -> bool {
    match path {
        None => true,
        Some(PathSpec::Exact(text)) => text == found,
        Some(PathSpec::Regex(regex)) => regex.get().is_match(found),
        Some(PathSpec::Prefix(text)) => {
            let with_slash = format!("{}/", text.trim_end_matches('/'));
            format!("{found}/").starts_with(&with_slash)
        }
    }
}

fn value_matches(wanted: &ValueSpec, values: &[&str]) -> bool {
    match wanted {
        ValueSpec::Present(true) => !values.is_empty(),
        ValueSpec::Present(false) => values.is_empty(),
        ValueSpec::Exact(text) => values.contains(&text.as_str()),
        ValueSpec::Regex(regex) => values.iter().any(|value| regex.get().is_match(value)),
    }
}

fn matches((_, listeners, spec): &(RouteName, Vec<usize>, MatchSpec), wire: &Wire) -> bool {
    let request = &wire.request;
    path_matches(spec.path.as_ref(), &request.path)
        && (listeners.is_empty() || listeners.contains(&request.listener))
        && (spec.methods.is_empty() || spec.methods.iter().any(|method| method.0 == request.method))
        && (spec.clients.is_empty() || spec.clients.iter().any(|net| net.contains(request.client)))
        && spec.headers.iter().all(|(_, wanted)| value_matches(wanted, &wire.headers))
        && spec.query.iter().all(|(_, wanted)| value_matches(wanted, &wire.query))
        && spec.cookies.iter().all(|(_, wanted)| value_matches(wanted, &wire.cookies))
}

fn scan(rules: &Rules, wire: &Wire) -> Option<usize> {
    let mut ranked = Vec::new();
    for (index, rule) in rules.0.iter().enumerate() {
        for host in hosts(&rule.2) {
            let path = path_rank(rules, host, rule.2.path.as_ref());
            ranked.push(((host_rank(host), path, Reverse(count(&rule.2)), index), host));
        }
    }
    ranked.sort();
    let is_for = |host: Option<&HostPattern>| host.is_none_or(|host| host.matches(&wire.request.host));
    let first = ranked.iter().find(|((.., index), host)| is_for(*host) && matches(&rules.0[*index], wire));
    first.map(|((.., index), _)| *index)
}

// === What is tried ===

/// A key of `match`, absent in most routes.
fn rarely(values: Vec<Value>) -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(0.2, select(values))
}

fn values(name: &str) -> Vec<Value> {
    [json!("1"), json!({ "regex": "^[12]" }), json!({ "present": true }), json!({ "present": false })]
        .into_iter()
        .map(|wanted| json!({ name: wanted }))
        .collect()
}

fn host() -> impl Strategy<Value = Option<Value>> {
    let hosts = ["x", "a.x", "b.x", "c.a.x", "*.x", "*.a.x", "*.c.a.x"];
    prop::option::weighted(0.7, select(hosts.to_vec()).prop_map(Value::from))
}

fn hosts_of_a_route() -> impl Strategy<Value = Option<Value>> {
    let several = prop::collection::vec(host(), 1..4).prop_map(|hosts| {
        let known: Vec<Value> = hosts.into_iter().flatten().collect();
        (!known.is_empty()).then_some(Value::Array(known))
    });
    prop_oneof![host(), several]
}

fn path() -> impl Strategy<Value = Option<Value>> {
    let prefixes = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/ab", "/b/"];
    let exact = ["/", "/a", "/a/", "/a/b"];
    let regexes = ["^/a", "^/", "b$", "^/a/.*", "^/a/b$", "/c", "^/ab?"];
    prop::option::weighted(
        0.85,
        prop_oneof![
            3 => select(prefixes.to_vec()).prop_map(Value::from),
            2 => select(exact.to_vec()).prop_map(|path| json!({ "exact": path })),
            2 => select(regexes.to_vec()).prop_map(|regex| json!({ "regex": regex })),
        ],
    )
}

fn rule(host: impl Strategy<Value = Option<Value>>) -> impl Strategy<Value = Value> {
    let listeners = rarely(vec![json!(["l0"]), json!(["l1"]), json!(["l0", "l1"])]);
    let methods = rarely(vec![json!(["GET"]), json!(["POST"]), json!(["GET", "POST"])]);
    let clients = rarely(vec![json!(["10.0.0.0/8"]), json!(["10.0.0.0/8", "192.0.2.0/24"])]);
    let named = (rarely(values("X-H")), rarely(values("q")), rarely(values("c")));
    (host, path(), listeners, methods, clients, named).prop_map(
        |(host, path, listeners, methods, clients, (headers, query, cookies))| {
            let mut spec = serde_json::Map::new();
            spec.extend(host.map(|value| ("host".to_owned(), value)));
            spec.extend(path.map(|value| ("path".to_owned(), value)));
            spec.extend(listeners.map(|value| ("listeners".to_owned(), value)));
            spec.extend(methods.map(|value| ("methods".to_owned(), value)));
            spec.extend(clients.map(|value| ("clients".to_owned(), value)));
            spec.extend(headers.map(|value| ("headers".to_owned(), value)));
            spec.extend(query.map(|value| ("query".to_owned(), value)));
            spec.extend(cookies.map(|value| ("cookies".to_owned(), value)));
            Value::Object(spec)
        },
    )
}

fn some_values() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![2 => Just(vec![]), 3 => prop::collection::vec(select(vec!["1", "2", "x", ""]), 1..3)]
}

fn wire() -> impl Strategy<Value = Wire> {
    let host = select(vec!["x", "a.x", "b.x", "c.a.x", "d.c.a.x", "y"]);
    let path = select(vec!["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c/d", "/ab", "/abc", "/b", "/b/c", "/z"]);
    let origin =
        (0..2_usize, select(vec![Method::GET, Method::POST]), select(vec![[10, 0, 0, 1], [192, 0, 2, 1]]));
    (host, path, origin, some_values(), some_values(), some_values()).prop_map(
        |(host, path, (listener, method, client), headers, query, cookies)| {
            let mut request = Request { listener, method, client: client.into(), ..Request::new(host, path) };
            for value in &headers {
                request = request.with_header("x-h", value);
            }
            for value in &cookies {
                request = request.with_header("cookie", &format!("other=0; c={value}"));
            }
            let pairs: Vec<String> = query.iter().map(|value| format!("q={value}")).collect();
            request.query = (!pairs.is_empty()).then(|| pairs.join("&"));
            Wire { request, headers, query, cookies }
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    prop::collection::vec(rule(hosts_of_a_route()), 0..12).prop_map(Rules::read)
}

fn wires() -> impl Strategy<Value = Vec<Wire>> {
    prop::collection::vec(wire(), 16)
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, _, spec)| spec)).finish()
    }
}

// === What must hold ===

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn finds_what_a_scan_over_all_routes_finds(rules in rules(), wires in wires()) {
        let router = rules.router();
        for wire in &wires {
            prop_assert_eq!(found(&router, &wire.request), scan(&rules, wire), "{:?}", wire.request);
        }
    }

    #[test]
    fn explains_what_it_finds(rules in rules(), wire in wire()) {
        let router = rules.router();
        let candidates = router.explain(&wire.request.parts());
        let chosen = candidates.iter().position(|candidate| candidate.verdict == Verdict::Chosen);
        prop_assert_eq!(chosen.map(|index| candidates[index].route.0), scan(&rules, &wire));
        for (index, candidate) in candidates.iter().enumerate() {
            let is_after = chosen.is_some_and(|chosen| index > chosen);
            let would_match = matches(&rules.0[candidate.route.0], &wire);
            match &candidate.verdict {
                Verdict::Chosen => prop_assert_eq!(Some(index), chosen),
                Verdict::NotReached => prop_assert!(is_after && would_match),
                Verdict::Lost(reasons) => prop_assert!(!would_match && !reasons.is_empty()),
            }
        }
    }

    #[test]
    fn every_route_is_a_candidate_once_or_for_other_hosts(rules in rules(), wire in wire()) {
        let router = rules.router();
        let host = &wire.request.host;
        let is_for = |spec: &MatchSpec| hosts(spec).iter().any(|host_of| host_of.is_none_or(|it| it.matches(host)));
        let expected: Vec<usize> = (0..rules.0.len()).filter(|&index| is_for(&rules.0[index].2)).collect();
        let mut listed: Vec<usize> = router.explain(&wire.request.parts()).iter().map(|it| it.route.0).collect();
        listed.sort_unstable();
        prop_assert_eq!(router.of_other_hosts(host), rules.0.len() - expected.len());
        prop_assert_eq!(listed, expected);
    }

    #[test]
    fn the_first_match_in_the_effective_order_is_what_is_found(
        rules in prop::collection::vec(rule(host()), 0..12).prop_map(Rules::read),
        wires in wires(),
    ) {
        let router = rules.router();
        let order = router.effective_order();
        prop_assert_eq!(order.len(), rules.0.len());
        for wire in &wires {
            let is_for = |spec: &MatchSpec| hosts(spec)[0].is_none_or(|host| host.matches(&wire.request.host));
            let takes = |id: &&RouteId| is_for(&rules.0[id.0].2) && matches(&rules.0[id.0], wire);
            prop_assert_eq!(order.iter().find(takes).copied(), router.find(&wire.request.parts()));
        }
    }

    #[test]
    fn what_is_called_unreachable_is_never_found(rules in rules(), wires in wires()) {
        let router = rules.router();
        let unreachable = router.unreachable();
        for wire in &wires {
            let found = router.find(&wire.request.parts());
            prop_assert!(unreachable.iter().all(|(dead, _)| Some(*dead) != found), "{:?} {:?}", unreachable, wire);
        }
    }
}
