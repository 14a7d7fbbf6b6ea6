//! The admin listener: counts, health, and who may read them.

mod access;
mod api;
mod bytes;
mod counts;
mod forms;
mod health;
mod lately;
mod reload;
mod steer;
mod strangers;
mod strict;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Client, Edge, PATIENCE, Response};

/// A configuration with the listener `web` and an admin listener, and these pools and routes.
fn config(pools: &str, routes: &str) -> String {
    with_admin("bind: 127.0.0.1:0", pools, routes)
}

/// The same with these keys of `admin`.
fn with_admin(admin: &str, pools: &str, routes: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
admin: {{ {admin} }}
pools: {{ {pools} }}
routes: [{routes}]
"
    )
}

/// `app: { endpoints: [...] }` with further keys.
fn pool(name: &str, keys: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    format!("{name}: {{ {keys} endpoints: [{}] }}", endpoints.join(", "))
}

/// The answer of the admin listener to a request with these fields.
async fn ask(edge: &Edge, line: &str, fields: &str) -> Response {
    call(edge.admin_address(), line, fields, "").await
}

/// The same of any admin listener, with a body.
async fn call(address: SocketAddr, line: &str, fields: &str, body: &str) -> Response {
    let mut client = Client::connect(address).await;
    client.send(format!("{line} HTTP/1.1\r\n{fields}\r\n{body}")).await;
    client.response().await
}

async fn read(edge: &Edge, path: &str) -> Response {
    ask(edge, &format!("GET {path}"), "Host: localhost\r\n").await
}

/// All series at one moment.
#[derive(Debug)]
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(edge: &Edge) -> Self {
        Self::read(read(edge, "/metrics").await.text())
    }

    fn read(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let series = series.map(|line| line.rsplit_once(' ').unwrap());
        Self(series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    }

    /// The value of `name{labels}`; it has to be there.
    fn value(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("{series} is not in {self:#?}"))
    }

    /// Those of all series that begin so.
    fn sum(&self, start: &str) -> f64 {
        self.0.iter().filter(|(name, _)| name.starts_with(start)).map(|(_, value)| value).sum()
    }

    fn has(&self, part: &str) -> bool {
        self.0.keys().any(|name| name.contains(part))
    }
}

/// Waits until these series have these values: a request is counted when its answer has gone.
async fn comes_to(edge: &Edge, expected: &[(&str, f64)]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let scrape = Scrape::of(edge).await;
        let found: Vec<_> = expected.iter().map(|(series, _)| (*series, scrape.value(series))).collect();
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "never {expected:#?}: {found:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
