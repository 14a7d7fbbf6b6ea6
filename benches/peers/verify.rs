//! Correctness before speed: a peer that does less than the others is refused, not measured.

use std::{
    collections::BTreeSet,
    error::Error,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    compare::words::{Compared, Work},
    connection::{Answer, Connection},
    message::field,
    peer::Proxy,
    request::{self, BODY, HOST},
    rows::Row,
    site::Site,
    support::Outcome,
    tls,
    wire::Wire,
};

/// How long a peer may take from listening to its first good answer.
const FIT: Duration = Duration::from_secs(10);
/// Requests in the check that both endpoints are used.
const SPREAD: usize = 64;
/// Connections to the origin that so many requests, one after the other, may need when connections are kept.
const KEPT: usize = 4;
/// What the client claims about itself; none of it may reach the origin, for nobody was told to trust it.
const CLAIMS: [(&str, &str); 4] = [
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Host", "forged.example"),
    ("X-Real-IP", "203.0.113.9"),
];

/// Checks that `proxy` proxies: the right answer, the headers that it owns, both endpoints, kept-alive connections. Over
/// TLS also that it shakes hands as the others do, and does the same on HTTP/2.
pub(crate) fn verify(proxy: &Proxy, site: &Site) -> Outcome<()> {
    wait_until_fit(proxy)?;
    check(proxy, site).map_err(|error| format!("{} does not do the work: {error}", proxy.peer.name()).into())
}

fn check(proxy: &Proxy, site: &Site) -> Outcome<()> {
    let scheme = proxy.wire.scheme();
    let mut connection = proxy.connect(Ipv4Addr::LOCALHOST)?;
    let lines: String = CLAIMS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    check_headers(scheme, || Ok(connection.exchange(&request::get("/echo", &lines))?.body))?;
    check_spread(&mut connection, site)?;
    if Row::Stored.is_for(proxy.peer) {
        check_stored(&mut connection)?;
    }
    if matches!(proxy.wire, Wire::Tls(_)) {
        tls::verify::check_handshakes(proxy, site)?;
        check_headers(scheme, || tls::verify::get_over_http2(proxy, "/echo", &CLAIMS))
            .map_err(|error| format!("over HTTP/2, {error}"))?;
    }
    Ok(())
}

fn wait_until_fit(proxy: &Proxy) -> Outcome<()> {
    let deadline = Instant::now() + FIT;
    loop {
        let answer = plain(proxy);
        if matches!(&answer, Ok(answer) if answer.status == 200 && answer.body == BODY) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let (name, said) = (proxy.peer.name(), proxy.process.said());
            return Err(format!("{name} does not proxy after {FIT:?}; last: {answer:?}\n{said}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn plain(proxy: &Proxy) -> Outcome<Answer> {
    proxy.connect(Ipv4Addr::LOCALHOST)?.exchange(&request::get("/", ""))
}

/// Asks the origin what it saw, twice, with forged fields.
fn check_headers(scheme: &str, mut echo: impl FnMut() -> Outcome<String>) -> Outcome<()> {
    let (first, second) = (echo()?, echo()?);
    let expected = [
        ("host", HOST),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", HOST),
        ("x-real-ip", "127.0.0.1"),
    ];
    for (name, value) in expected {
        if echoed(&first, name) != value {
            return Err(format!("the origin saw {name} as {:?}, not {value:?}", echoed(&first, name)).into());
        }
    }
    let ids = [echoed(&first, "x-request-id"), echoed(&second, "x-request-id")];
    if ids.iter().any(|id| id.len() < 16) || ids[0] == ids[1] {
        return Err(format!("request ids are missing, short or equal: {ids:?}").into());
    }
    // The version is the one that the client speaks, where a peer knows it.
    if !["1.1 ", "2 ", "2.0 "].iter().any(|version| echoed(&first, "via").starts_with(version)) {
        return Err(format!("the origin saw via as {:?}", echoed(&first, "via")).into());
    }
    Ok(())
}

/// Checks that both endpoints are asked, over connections that are used again.
fn check_spread(connection: &mut Connection, site: &Site) -> Outcome<()> {
    let mut ports = BTreeSet::new();
    let mut connections = BTreeSet::new();
    for _ in 0..SPREAD {
        let answer = connection.exchange(&request::get("/echo", ""))?;
        ports.insert(echoed(&answer.body, "endpoint").to_owned());
        connections.insert(echoed(&answer.body, "connection").to_owned());
    }
    let expected: BTreeSet<String> =
        site.origin.endpoints.iter().map(|endpoint| endpoint.port().to_string()).collect();
    if ports != expected {
        return Err(format!("{SPREAD} requests reached the ports {ports:?}, not {expected:?}").into());
    }
    if connections.len() > KEPT {
        return Err(format!("{SPREAD} requests took {} connections to the origin", connections.len()).into());
    }
    Ok(())
}

/// Checks that what the origin answers once is what is answered again.
fn check_stored(connection: &mut Connection) -> Outcome<()> {
    let mut ask = || Ok::<_, Box<dyn Error>>(connection.exchange(&request::get("/stored/once", ""))?.body);
    let (first, second) = (ask()?, ask()?);
    if first.len() < 16 || first != second {
        return Err(format!("{first:?} was not stored: the second answer is {second:?}").into());
    }
    Ok(())
}

/// A field of the echo; empty when it is not there.
fn echoed<'a>(echo: &'a str, name: &str) -> &'a str {
    field(echo, name).unwrap_or_default()
}
