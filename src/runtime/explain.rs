use std::fmt::{Display, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::HOST;
use http::uri::Scheme as HttpScheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::hooks::PickCx;
use crate::pools::Pool;
use crate::router::{Candidate, Parts, RouteId};
use crate::types::{BindAddr, RequestHost};

use super::explain_l4::{self, Transport};
use super::explain_now;
use super::explain_split;
use super::trust::{Refusal, forwarded_client, refusal};
use super::way::{Asked, Way, why_unrouted};
use super::{Action, Cause, Connection, Ending, Ends, Listener, Peer, Route, Snapshot};

/// A request that somebody wants to understand.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) url: Uri,
    pub(crate) headers: HeaderMap,
    /// The address at the other end of the connection; not used where a listener has Unix sockets alone.
    pub(crate) client_ip: IpAddr,
    /// The listener that it comes in on; by default the one with the URL's port, or the first.
    pub(crate) listener: Option<String>,
}

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswerable {
    #[error("the question cannot be read")]
    Unreadable,
    #[error("the URL has no host; write it whole, like http://example.com/path")]
    NoHost,
    #[error(
        "`{0}:` is not served; ask by http:, https:, tcp: or udp:, and for WebSockets by http: or https:"
    )]
    OtherScheme(String),
    #[error("`{0}` is not a host")]
    InvalidHost(String),
    #[error("there is no listener `{0}`")]
    UnknownListener(String),
    #[error("no listener speaks HTTP; ask by tcp: or udp:, like tcp://example.com:5432")]
    NoHttp,
    #[error("listener `{0}` is none for {1}")]
    OtherListener(String, &'static str),
    #[error("no listener for {1} has port {0}; name one with --listener")]
    NobodyOnPort(u16, &'static str),
    #[error(
        "the URL has no port; write it whole, like tcp://example.com:5432, or name a listener with --listener"
    )]
    NoPort,
}

/// Answers what would become of a request, by the same code that would serve it.
///
/// # Errors
/// When the question names no host, a scheme that nobody serves, or a listener that is not there.
pub(crate) fn explain(snapshot: &Snapshot, question: &Question) -> Result<String, Unanswerable> {
    explain_by(snapshot, question, Sight::Configuration)
}

/// The same by the state of a process that serves `snapshot`: who is fit, what is in flight, whom a policy would pick.
///
/// # Errors
/// As for [`explain()`].
pub(crate) fn explain_now(snapshot: &Snapshot, question: &Question) -> Result<String, Unanswerable> {
    explain_by(snapshot, question, Sight::Running)
}

/// What an answer is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// What is written.
    Configuration,
    /// What goes on.
    Running,
}

fn explain_by(snapshot: &Snapshot, question: &Question, sight: Sight) -> Result<String, Unanswerable> {
    let authority = question.url.authority().ok_or(Unanswerable::NoHost)?;
    if let Some(transport) = Transport::of(&question.url) {
        return explain_l4::explain(snapshot, question, transport, sight);
    }
    if let Some(scheme) = question.url.scheme_str().filter(|scheme| !matches!(*scheme, "http" | "https")) {
        return Err(Unanswerable::OtherScheme(scheme.to_owned()));
    }
    let asked = question.headers.get(HOST).map_or(authority.as_str().as_bytes(), HeaderValue::as_bytes);
    let host = RequestHost::parse(asked)
        .ok_or_else(|| Unanswerable::InvalidHost(String::from_utf8_lossy(asked).into_owned()))?;
    let request = Request { question, host, listener: listener(snapshot, question)?, sight };
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_answer(snapshot, &request, &mut out);
    Ok(out)
}

/// A question that can be answered.
struct Request<'a> {
    question: &'a Question,
    host: RequestHost,
    listener: &'a Arc<Listener>,
    sight: Sight,
}

/// What the edge believes of a request.
struct Believed {
    headers: HeaderMap,
    dropped: Vec<(HeaderName, Refusal)>,
    /// `None` on a Unix socket.
    peer: Option<SocketAddr>,
    connection: Connection,
    forwarded: Option<IpAddr>,
}

fn believe(snapshot: &Snapshot, request: &Request<'_>) -> Believed {
    let Request { question, listener, .. } = request;
    let mut headers = with_host(question);
    let has_address = listener.binds.iter().any(|bind| matches!(bind, BindAddr::Inet(_)));
    let is_told = has_address || listener.expects_proxy_header();
    let peer = is_told.then(|| SocketAddr::new(question.client_ip, 0));
    let ends = Ends { peer: Peer::of_socket(peer), reached: None };
    let connection = Connection::new(Arc::clone(listener), ends, None, Ending::default());
    let peer_is_trusted = connection.is_trusted_by(snapshot);
    let forwarded = peer_is_trusted.then(|| forwarded_client(&headers, snapshot)).flatten();
    let names = headers.keys();
    let dropped: Vec<_> =
        names.filter_map(|name| Some((name.clone(), refusal(name, peer_is_trusted)?))).collect();
    for (name, _) in &dropped {
        headers.remove(name);
    }
    Believed { headers, dropped, peer, connection, forwarded }
}

/// The headers with the `Host` that every client sends, since routes can match it like any other.
fn with_host(question: &Question) -> HeaderMap {
    let mut headers = question.headers.clone();
    let from_url = question.url.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let (Some(host), false) = (from_url, headers.contains_key(HOST)) {
        headers.insert(HOST, host);
    }
    headers
}

fn listener<'s>(snapshot: &'s Snapshot, question: &Question) -> Result<&'s Arc<Listener>, Unanswerable> {
    if let Some(name) = &question.listener {
        let named = snapshot.listeners.iter().find(|listener| listener.name.as_str() == name);
        let named = named.ok_or_else(|| Unanswerable::UnknownListener(name.clone()))?;
        let is_fitting = named.speaks_http();
        return is_fitting.then_some(named).ok_or_else(|| Unanswerable::OtherListener(name.clone(), "HTTP"));
    }
    let default_port = if question.url.scheme() == Some(&HttpScheme::HTTPS) { 443 } else { 80 };
    let port = question.url.port_u16().unwrap_or(default_port);
    let has_port = |bind: &BindAddr| matches!(bind, BindAddr::Inet(inet) if inet.port() == port);
    let mut serving = snapshot.listeners.iter().filter(|listener| listener.speaks_http());
    let first = serving.clone().next();
    serving.find(|listener| listener.binds.iter().any(has_port)).or(first).ok_or(Unanswerable::NoHttp)
}

fn write_answer(snapshot: &Snapshot, request: &Request<'_>, out: &mut String) -> std::fmt::Result {
    let Request { question, host, listener, sight } = request;
    writeln!(out, "request    {} {}", question.method, question.url)?;
    let believed = believe(snapshot, request);
    write_believed(&believed, out)?;
    writeln!(out, "listener   {}", listener.name)?;
    let asked = Asked {
        listener,
        method: &question.method,
        host: host.as_str(),
        path: question.url.path(),
        query: question.url.query(),
        headers: &believed.headers,
        client_ip: believed.forwarded.unwrap_or(believed.connection.peer_ip()),
    };
    match asked.way(snapshot) {
        Way::MethodRefused => write_cause(&Cause::MethodRefused, Cause::MethodRefused.text(), out),
        Way::PathRefused(reason) => {
            write_host(&asked, asked.path, out)?;
            writeln!(out, "answer     400: {reason}")
        }
        Way::Https { path, url } => {
            write_host(&asked, &path, out)?;
            writeln!(out, "answer     308 to {url}: the listener redirects to https")
        }
        Way::Routed { path, found } => {
            write_host(&asked, &path, out)?;
            write_candidates(snapshot, &asked.parts(&path), out)?;
            match found {
                Ok(RouteId(index)) => {
                    write_route(snapshot, &snapshot.routes[index], &asked.pick_cx(&path), *sight, out)
                }
                Err(cause) => write_cause(&cause, why_unrouted(&cause), out),
            }
        }
    }
}

fn write_host(asked: &Asked<'_>, path: &str, out: &mut String) -> std::fmt::Result {
    writeln!(out, "host       {}", asked.host)?;
    let raw = asked.path;
    let note = if path == raw { String::new() } else { format!("  (normalised from {raw})") };
    writeln!(out, "path       {path}{note}")
}

fn write_believed(believed: &Believed, out: &mut String) -> std::fmt::Result {
    let Believed { peer, connection, forwarded, dropped, .. } = believed;
    let address = connection.peer_ip();
    match (forwarded, peer) {
        (None, None) => writeln!(out, "client     {address}  (a Unix socket tells no address)")?,
        (None, Some(_)) => writeln!(out, "client     {address}")?,
        (Some(client), None) => {
            writeln!(out, "client     {client}  (from X-Forwarded-For, believed on a Unix socket)")?;
        }
        (Some(client), Some(_)) => {
            writeln!(out, "client     {client}  (from X-Forwarded-For, believed of {address})")?;
        }
    }
    dropped.iter().try_for_each(|(name, refusal)| writeln!(out, "dropped    {name} ({refusal})"))
}

fn write_cause(cause: &Cause, why: &str, out: &mut String) -> std::fmt::Result {
    writeln!(out, "answer     {}: {why}", cause.status().as_u16())
}

fn write_candidates(snapshot: &Snapshot, parts: &Parts<'_>, out: &mut String) -> std::fmt::Result {
    writeln!(out, "candidates, the most specific first")?;
    for (place, candidate) in snapshot.router.explain(parts).iter().enumerate() {
        let Candidate { name, host, verdict, .. } = candidate;
        let host = host.as_ref().map(ToString::to_string);
        write_candidate(out, place, name.as_str(), host.as_deref(), verdict)?;
    }
    match snapshot.router.of_other_hosts(parts.host) {
        0 => Ok(()),
        1 => writeln!(out, "  (1 route is for other hosts)"),
        others => writeln!(out, "  ({others} routes are for other hosts)"),
    }
}

/// `  1. api                  any host                 chosen`
pub(super) fn write_candidate(
    out: &mut String,
    place: usize,
    name: &str,
    host: Option<&str>,
    verdict: &impl Display,
) -> std::fmt::Result {
    let host = host.unwrap_or("any host");
    writeln!(out, "  {}. {name:<20} {host:<24} {verdict}", place + 1)
}

fn write_route(
    snapshot: &Snapshot,
    route: &Route,
    cx: &PickCx<'_>,
    sight: Sight,
    out: &mut String,
) -> std::fmt::Result {
    writeln!(out, "filters, in their order")?;
    for (place, step) in route.filters.iter().enumerate() {
        writeln!(out, "  {}. {:<20} {}", place + 1, step.name, step.filter.describe())?;
    }
    if route.filters.is_empty() {
        writeln!(out, "  none")?;
    }
    if sight == Sight::Running {
        explain_now::write_filters(route, cx, out)?;
    }
    match &route.action {
        Action::Redirect(redirect) => {
            writeln!(out, "answer     {}: to {}", redirect.status.as_u16(), redirect.to)
        }
        Action::Respond(respond) => {
            writeln!(
                out,
                "answer     {}: {} bytes from the edge",
                respond.status.as_u16(),
                respond.body.len()
            )
        }
        Action::Files(files) => writeln!(out, "answer     a file of {}", files.describe()),
        Action::Pool(pool) => write_pool(&snapshot.pools[pool.0], cx, sight, out),
        Action::Split(split) => explain_split::write(snapshot, split, cx, sight, out),
    }
}

pub(super) fn write_pool(pool: &Pool, cx: &PickCx<'_>, sight: Sight, out: &mut String) -> std::fmt::Result {
    if sight == Sight::Running {
        return explain_now::write_pool(pool, cx, out);
    }
    let total: u32 = pool.endpoints().iter().map(|endpoint| u32::from(endpoint.weight())).sum();
    writeln!(out, "pool       {}: {} picks one of", pool.name(), pool.config().balance.policy)?;
    for endpoint in pool.endpoints() {
        let weight = endpoint.weight();
        let share = 100.0 * f64::from(weight) / f64::from(total.max(1));
        writeln!(
            out,
            "  {:<24} weight {weight} ({share:.0} % of the weights)",
            endpoint.address().to_string()
        )?;
    }
    match pool.health() {
        Some(health) => writeln!(out, "  of those that pass their probe every {}", health.interval),
        None => writeln!(out, "  which are not probed, so all count as fit"),
    }
}
