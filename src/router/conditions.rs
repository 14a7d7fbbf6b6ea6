use http::{HeaderName, Method};

use crate::config::spec::ValueSpec;
use crate::types::{Cidr, ListenerName, cookies};

use super::{Parts, Rule};

/// What must hold of a request beside host and path; one counts as much as another.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// The names are for explanations only.
    Listeners {
        numbers: Box<[usize]>,
        names: Box<[ListenerName]>,
    },
    Methods(Box<[Method]>),
    Clients(Box<[Cidr]>),
    Header(HeaderName, ValueSpec),
    Query(Box<str>, ValueSpec),
    Cookie(Box<str>, ValueSpec),
}

/// The conditions of a route, the cheapest to test first.
pub(super) fn conditions(rule: &Rule<'_>) -> Vec<Condition> {
    let spec = rule.matches;
    let mut all = Vec::new();
    if !rule.listeners.is_empty() {
        let names = spec.listeners.iter().cloned().collect();
        all.push(Condition::Listeners { numbers: rule.listeners.into(), names });
    }
    if !spec.methods.is_empty() {
        all.push(Condition::Methods(spec.methods.iter().map(|method| method.0.clone()).collect()));
    }
    if !spec.clients.is_empty() {
        all.push(Condition::Clients(spec.clients.as_slice().into()));
    }
    let named = |name: &String| name.as_str().into();
    all.extend(spec.headers.iter().map(|(name, value)| Condition::Header(name.0.clone(), value.clone())));
    all.extend(spec.query.iter().map(|(name, value)| Condition::Query(named(name), value.clone())));
    all.extend(spec.cookies.iter().map(|(name, value)| Condition::Cookie(named(name), value.clone())));
    all
}

/// Whether all of a route's conditions hold.
pub(super) fn hold(conditions: &[Condition], parts: &Parts<'_>) -> bool {
    conditions.iter().all(|condition| condition.holds(parts))
}

impl Condition {
    pub(super) fn holds(&self, parts: &Parts<'_>) -> bool {
        match self {
            Self::Listeners { numbers, .. } => numbers.contains(&parts.listener),
            Self::Methods(methods) => methods.contains(parts.method),
            Self::Clients(networks) => networks.iter().any(|network| network.contains(parts.client_ip)),
            Self::Header(name, wanted) => one_is(wanted, headers(parts, name)),
            Self::Query(name, wanted) => one_is(wanted, parameters(parts, name)),
            Self::Cookie(name, wanted) => one_is(wanted, cookies(parts.headers, name)),
        }
    }
}

/// The values of all header fields of that name.
pub(super) fn headers<'p>(parts: &Parts<'p>, name: &HeaderName) -> impl Iterator<Item = &'p [u8]> + use<'p> {
    parts.headers.get_all(name).into_iter().map(|value| value.as_bytes())
}

/// The values of all query parameters of that name, as they stand; without a `=` the value is empty.
pub(super) fn parameters<'p, 'n>(
    parts: &Parts<'p>,
    name: &'n str,
) -> impl Iterator<Item = &'p [u8]> + use<'p, 'n> {
    let pairs = parts.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    split.filter(move |(key, _)| *key == name).map(|(_, value)| value.as_bytes())
}

fn one_is<'v>(wanted: &ValueSpec, mut values: impl Iterator<Item = &'v [u8]>) -> bool {
    match wanted {
        ValueSpec::Exact(exact) => values.any(|value| value == exact.as_bytes()),
        ValueSpec::Regex(regex) => {
            values.any(|value| std::str::from_utf8(value).is_ok_and(|text| regex.get().is_match(text)))
        }
        ValueSpec::Present(present) => values.next().is_some() == *present,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn exact(text: &str) -> ValueSpec {
        ValueSpec::Exact(text.to_owned())
    }

    fn regex(text: &str) -> ValueSpec {
        ValueSpec::Regex(text.parse().unwrap())
    }

    fn parts<'a>(query: Option<&'a str>, headers: &'a HeaderMap) -> Parts<'a> {
        let client_ip = std::net::Ipv4Addr::new(10, 1, 2, 3).into();
        Parts { listener: 1, host: "a", path: "/", query, method: &Method::GET, headers, client_ip }
    }

    fn header_is(wanted: ValueSpec, values: &[&'static [u8]]) -> bool {
        let name = HeaderName::from_static("x-canary");
        let field = |value: &&'static [u8]| (name.clone(), HeaderValue::from_bytes(value).unwrap());
        let headers = values.iter().map(field).collect();
        Condition::Header(name.clone(), wanted).holds(&parts(None, &headers))
    }

    fn query_is(wanted: ValueSpec, query: Option<&str>) -> bool {
        Condition::Query("q".into(), wanted).holds(&parts(query, &HeaderMap::new()))
    }

    #[test]
    fn of_several_header_values_one_is_enough() {
        assert!(header_is(exact("1"), &[b"0", b"1"]));
        assert!(header_is(regex("^1$"), &[b"0", b"1"]));
        assert!(!header_is(exact("1"), &[b"0", b"1,0"]));
    }

    #[test]
    fn an_absent_value_is_only_ever_absent() {
        assert!(header_is(ValueSpec::Present(false), &[]));
        for wanted in [ValueSpec::Present(true), exact(""), regex("")] {
            assert!(!header_is(wanted.clone(), &[]), "{wanted}");
            assert!(header_is(wanted.clone(), &[b""]), "{wanted}");
        }
        assert!(!header_is(ValueSpec::Present(false), &[b""]));
    }

    #[test]
    fn a_header_that_is_no_text_is_compared_by_bytes_and_never_searched() {
        assert!(header_is(exact("ä"), &["ä".as_bytes()]));
        assert!(!header_is(regex(""), &[b"\xff"]));
        assert!(header_is(ValueSpec::Present(true), &[b"\xff"]));
    }

    #[test]
    fn parameters_are_compared_as_they_stand() {
        assert!(query_is(exact("a%20b"), Some("x=1&q=a%20b")));
        assert!(!query_is(exact("a b"), Some("q=a%20b")));
        assert!(query_is(exact("1"), Some("q=0&q=1")));
        assert!(query_is(exact(""), Some("q")) && query_is(exact(""), Some("q=")));
        assert!(query_is(exact("a=b"), Some("q=a=b")));
        assert!(!query_is(ValueSpec::Present(true), Some("qq=1&Q=1")));
        assert!(query_is(ValueSpec::Present(false), None) && query_is(ValueSpec::Present(false), Some("")));
    }

    #[test]
    fn listeners_methods_and_clients_are_exactly_those_that_are_listed() {
        let headers = HeaderMap::new();
        let holds = |condition: Condition| condition.holds(&parts(None, &headers));
        let listeners =
            |numbers: &[usize]| Condition::Listeners { numbers: numbers.into(), names: [].into() };
        assert!(holds(listeners(&[0, 1])) && !holds(listeners(&[0, 2])));
        assert!(holds(Condition::Methods([Method::POST, Method::GET].into())));
        assert!(!holds(Condition::Methods([Method::HEAD].into())));
        assert!(holds(Condition::Clients(["10.0.0.0/8".parse().unwrap()].into())));
        assert!(!holds(Condition::Clients(["10.0.0.0/16".parse().unwrap()].into())));
    }
}
