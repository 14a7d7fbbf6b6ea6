use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderMap, Uri};
use tokio::time::Instant;

use crate::hooks::{PickCx, Variables};
use crate::types::BindAddr;

use super::explain::{Sight, Unanswerable, write_pool};
use super::{Listener, Question, Snapshot, TcpService, UdpService};

/// What does not speak HTTP, by the scheme of the URL that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// How a listener of that kind passes on.
enum Service<'s> {
    Tcp(&'s TcpService),
    Udp(&'s UdpService),
}

impl Transport {
    /// What the URL is about, if it is not HTTP.
    pub(super) fn of(url: &Uri) -> Option<Self> {
        match url.scheme_str() {
            Some("tcp") => Some(Self::Tcp),
            Some("udp") => Some(Self::Udp),
            _ => None,
        }
    }

    fn service(self, listener: &Listener) -> Option<Service<'_>> {
        match self {
            Self::Tcp => listener.tcp().map(Service::Tcp),
            Self::Udp => listener.udp().map(Service::Udp),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Answers where a connection, or a flow of datagrams, would go.
///
/// # Errors
/// When no listener takes it.
pub(super) fn explain(
    snapshot: &Snapshot,
    question: &Question,
    transport: Transport,
    sight: Sight,
) -> Result<String, Unanswerable> {
    let (listener, service) = listener(snapshot, question, transport)?;
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_answer(question, listener, &service, sight, &mut out);
    Ok(out)
}

fn listener<'s>(
    snapshot: &'s Snapshot,
    question: &Question,
    transport: Transport,
) -> Result<(&'s Listener, Service<'s>), Unanswerable> {
    let port = question.url.port_u16();
    let has_port = |bind: &BindAddr| matches!(bind, BindAddr::Inet(inet) if Some(inet.port()) == port);
    let is_asked_for = |listener: &&Arc<Listener>| match &question.listener {
        Some(name) => listener.name.as_str() == name,
        None => listener.binds.iter().any(has_port),
    };
    let asked = snapshot.listeners.iter().filter(is_asked_for);
    let mut serving = asked.filter_map(|listener| Some((&**listener, transport.service(listener)?)));
    serving.next().ok_or_else(|| match (&question.listener, port) {
        (Some(name), _) => Unanswerable::OtherListener(name.clone(), transport.as_str()),
        (None, Some(port)) => Unanswerable::NobodyOnPort(port, transport.as_str()),
        (None, None) => Unanswerable::NoPort,
    })
}

fn write_answer(
    question: &Question,
    listener: &Listener,
    service: &Service<'_>,
    sight: Sight,
    out: &mut String,
) -> std::fmt::Result {
    writeln!(out, "connection {}", question.url)?;
    writeln!(out, "client     {}", question.client_ip)?;
    writeln!(out, "listener   {}", listener.name)?;
    let mut asked_for = None;
    let pool = match service {
        Service::Udp(udp) => Some(&udp.pool),
        Service::Tcp(tcp) => {
            let (name, protocols) = wishes(&question.url);
            if tcp.routes_by_name() {
                writeln!(out, "sni        {}", name.as_deref().unwrap_or("none"))?;
            }
            let offered = protocols.iter().map(|protocol| protocol.as_bytes());
            let pool = tcp.pool_for(name.as_deref(), offered);
            asked_for = name;
            pool
        }
    };
    match pool {
        Some(pool) => {
            let headers = HeaderMap::new();
            let cx = PickCx {
                client_ip: question.client_ip,
                now: Instant::now(),
                host: asked_for.as_deref().unwrap_or_default(),
                path: "",
                query: None,
                headers: &headers,
                variables: Variables::NONE,
                notes: None,
            };
            write_pool(pool, &cx, sight, out)
        }
        None => writeln!(out, "answer     closed: no pool is for it"),
    }
}

/// The server name and the protocols that the URL's query asks for: `?sni=db.example.com&alpn=h2&alpn=http/1.1`.
fn wishes(url: &Uri) -> (Option<String>, Vec<String>) {
    let pairs = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let (mut name, mut protocols) = (None, Vec::new());
    for (key, value) in pairs {
        match key {
            "sni" => name = Some(value.trim_end_matches('.').to_ascii_lowercase()),
            "alpn" => protocols.extend(value.split(',').map(str::to_owned)),
            _ => {}
        }
    }
    (name, protocols)
}
