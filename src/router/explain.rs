use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use http::{HeaderName, Method};

use crate::config::spec::{PathSpec, ValueSpec};
use crate::types::{Cidr, HostPattern, ListenerName, RouteName, cookies};

use super::conditions::{Condition, headers, parameters};
use super::path::is_for;
use super::table::Route;
use super::{Parts, RouteId, Router};

/// A route that was looked at for a request, and what came of it. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The route.
    pub route: RouteId,
    /// Its name.
    pub name: RouteName,
    /// The most specific of its hosts that is for the request's host; `None` when it has no host.
    pub host: Option<HostPattern>,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The request takes it.
    Chosen,
    /// It would have matched, but a more specific one was chosen.
    NotReached,
    /// It does not match: every reason, never none.
    Lost(Vec<Reason>),
}

/// Why a route does not match. Displays with what was found, so it is for whoever may see the whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The path is another.
    Path {
        /// What the route is for.
        wanted: PathSpec,
        /// The request's path.
        found: String,
    },
    /// The request came in on another listener.
    Listener {
        /// The listeners that the route is for.
        wanted: Vec<ListenerName>,
    },
    /// The method is another.
    Method {
        /// The methods that the route is for.
        wanted: Vec<Method>,
        /// The request's method.
        found: Method,
    },
    /// The client is in another network.
    Client {
        /// The networks that the route is for.
        wanted: Vec<Cidr>,
        /// The client's address.
        found: IpAddr,
    },
    /// No header of that name is what it must be.
    Header {
        /// The header's name.
        name: HeaderName,
        /// What it must be.
        wanted: ValueSpec,
        /// The values in the request; bytes that are no text are replaced.
        found: Vec<String>,
    },
    /// No query parameter of that name is what it must be.
    Query {
        /// The parameter's name.
        name: String,
        /// What it must be.
        wanted: ValueSpec,
        /// The values in the request.
        found: Vec<String>,
    },
    /// No cookie of that name is what it must be.
    Cookie {
        /// The cookie's name.
        name: String,
        /// What it must be.
        wanted: ValueSpec,
        /// The values in the request; bytes that are no text are replaced.
        found: Vec<String>,
    },
}

// === impl Router ===

impl Router {
    /// Every route that is for the request's host, in the order in which they are tried, with what came of it.
    /// The chosen one is what [`Router::find`] says. How many routes are left out, see [`Router::of_other_hosts`].
    ///
    /// For people, not for the way of a request: takes time in proportion to the routes of the host.
    pub fn explain(&self, parts: &Parts<'_>) -> Vec<Candidate> {
        self.candidates(parts).collect()
    }

    /// The same, one after the other: whoever wants only some of them pays for no more.
    pub(crate) fn candidates<'a>(&'a self, parts: &'a Parts<'_>) -> impl Iterator<Item = Candidate> {
        let chosen = self.find(parts);
        self.tried_for(parts.host).map(move |(host, id)| {
            let route = &self.routes[id.0];
            let verdict =
                if chosen == Some(id) { Verdict::Chosen } else { Verdict::unchosen(route.reasons(parts)) };
            Candidate { route: id, name: route.name.clone(), host: host.clone(), verdict }
        })
    }

    /// How many routes are tried for a host.
    pub(crate) fn of_host(&self, host: &str) -> usize {
        self.tried_for(host).count()
    }

    /// How many routes are for other hosts alone.
    pub fn of_other_hosts(&self, host: &str) -> usize {
        self.routes.len() - self.of_host(host)
    }

    /// Each route once: what fails under one of its hosts fails under the others.
    fn tried_for<'t>(&'t self, host: &'t str) -> impl Iterator<Item = (&'t Option<HostPattern>, RouteId)> {
        let mut seen = HashSet::new();
        let groups = self.hosts.groups_for(host);
        let all = groups.flat_map(|group| group.tried.iter().map(|&route| (&group.pattern, route)));
        all.filter(move |&(_, route)| seen.insert(route))
    }
}

// === impl Verdict ===

impl Verdict {
    /// Of a route that was not chosen: only what comes after the chosen one can be without a reason.
    fn unchosen(reasons: Vec<Reason>) -> Self {
        if reasons.is_empty() { Self::NotReached } else { Self::Lost(reasons) }
    }

    /// What came of the route, without anything that the client has sent, and without what the route wants in headers, cookies
    /// and parameters: for whoever may know of a request no more than that it came, and is told of many routes at once.
    pub(crate) fn redacted(&self) -> String {
        match self {
            Self::Lost(reasons) => reasons.iter().map(Reason::redacted).collect::<Vec<_>>().join("; "),
            other => other.to_string(),
        }
    }
}

// === impl Reason ===

impl Reason {
    fn redacted(&self) -> String {
        match self {
            Self::Path { wanted: PathSpec::Prefix(prefix), .. } => {
                format!("path {prefix} is no prefix of it")
            }
            Self::Path { wanted, .. } => format!("path is another, wanted {wanted}"),
            Self::Listener { .. } => self.to_string(),
            Self::Method { wanted, .. } => format!("method is another, wanted {}", Joined(wanted, ", ")),
            Self::Client { wanted, .. } => format!("client is another, wanted {}", Joined(wanted, ", ")),
            Self::Header { name, .. } => format!("header {name} is not as wanted"),
            Self::Query { name, .. } => format!("query parameter {name} is not as wanted"),
            Self::Cookie { name, .. } => format!("cookie {name} is not as wanted"),
        }
    }
}

// === impl Route ===

impl Route {
    fn reasons(&self, parts: &Parts<'_>) -> Vec<Reason> {
        let other_path = self.path.as_ref().filter(|path| !is_for(path, parts.path));
        let path = other_path.map(|path| Reason::Path { wanted: path.clone(), found: parts.path.to_owned() });
        let failed = self.conditions.iter().filter(|condition| !condition.holds(parts));
        path.into_iter().chain(failed.map(|condition| condition.reason(parts))).collect()
    }
}

// === impl Condition ===

impl Condition {
    fn reason(&self, parts: &Parts<'_>) -> Reason {
        match self {
            Self::Listeners { names, .. } => Reason::Listener { wanted: names.to_vec() },
            Self::Methods(wanted) => Reason::Method { wanted: wanted.to_vec(), found: parts.method.clone() },
            Self::Clients(wanted) => Reason::Client { wanted: wanted.to_vec(), found: parts.client_ip },
            Self::Header(name, wanted) => {
                let found = texts(headers(parts, name));
                Reason::Header { name: name.clone(), wanted: wanted.clone(), found }
            }
            Self::Query(name, wanted) => {
                let found = texts(parameters(parts, name));
                Reason::Query { name: name.to_string(), wanted: wanted.clone(), found }
            }
            Self::Cookie(name, wanted) => {
                let found = texts(cookies(parts.headers, name));
                Reason::Cookie { name: name.to_string(), wanted: wanted.clone(), found }
            }
        }
    }
}

fn texts<'v>(values: impl Iterator<Item = &'v [u8]>) -> Vec<String> {
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

// === impl Display ===

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => f.write_str("chosen"),
            Self::NotReached => f.write_str("not reached, a more specific route was chosen"),
            Self::Lost(reasons) => write!(f, "{}", Joined(reasons, "; ")),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { wanted: PathSpec::Prefix(prefix), found } => {
                write!(f, "path {prefix} is no prefix of {found}")
            }
            Self::Path { wanted, found } => write!(f, "path is {found}, wanted {wanted}"),
            Self::Listener { wanted } => write!(f, "listener is another, wanted {}", Joined(wanted, ", ")),
            Self::Method { wanted, found } => write!(f, "method is {found}, wanted {}", Joined(wanted, ", ")),
            Self::Client { wanted, found } => write!(f, "client is {found}, wanted {}", Joined(wanted, ", ")),
            Self::Header { name, wanted, found } => write_value(f, ("header", name.as_str()), wanted, found),
            Self::Query { name, wanted, found } => write_value(f, ("query parameter", name), wanted, found),
            Self::Cookie { name, wanted, found } => write_value(f, ("cookie", name), wanted, found),
        }
    }
}

fn write_value(
    f: &mut fmt::Formatter<'_>,
    (kind, name): (&str, &str),
    wanted: &ValueSpec,
    found: &[String],
) -> fmt::Result {
    match (found, wanted) {
        ([], _) => write!(f, "{kind} {name} is absent, wanted {wanted}"),
        (_, ValueSpec::Present(_)) => write!(f, "{kind} {name} is present, wanted {wanted}"),
        _ => write!(f, "{kind} {name} is {}, wanted {wanted}", Joined(found, " and ")),
    }
}

struct Joined<'a, T>(&'a [T], &'a str);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { self.1 };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_client_has_sent_is_told_of_many_routes_at_once() {
        let secret = || "secret".to_owned();
        let lost = Verdict::Lost(vec![
            Reason::Path { wanted: PathSpec::Prefix("/api".to_owned()), found: secret() },
            Reason::Path { wanted: PathSpec::Exact("/a".to_owned()), found: secret() },
            Reason::Method { wanted: vec![Method::GET], found: Method::from_bytes(b"SECRET").unwrap() },
            Reason::Client {
                wanted: vec!["10.0.0.0/8".parse().unwrap()],
                found: "192.0.2.1".parse().unwrap(),
            },
        ]);
        assert_eq!(
            lost.redacted(),
            "path /api is no prefix of it; path is another, wanted = /a; method is another, wanted GET; \
             client is another, wanted 10.0.0.0/8"
        );
        assert!(lost.to_string().contains("secret"));
    }
}
