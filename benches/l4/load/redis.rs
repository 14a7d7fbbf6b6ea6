use std::{ffi::OsString, net::SocketAddr, time::Duration};

use super::Load;
use crate::{
    site::Site,
    support::{
        Outcome,
        process::{find, output_of},
    },
};

/// Connections that redis-benchmark keeps busy, from one thread.
pub(crate) const CONNECTIONS: u32 = 50;
/// It makes a number of requests, not a time full: about as many as come through in a second.
const REQUESTS_A_SECOND: u32 = 50_000;

pub(super) fn run(site: &Site, target: SocketAddr, seconds: u32) -> Outcome<Load> {
    let requests = REQUESTS_A_SECOND * seconds;
    let mut words = site.workspace.cores.surroundings.prefix();
    words.push(find("redis-benchmark").ok_or("no redis-benchmark: scripts/need redis-tools")?.into());
    let (host, port) = (target.ip().to_string(), target.port().to_string());
    let (connections, count) = (CONNECTIONS.to_string(), requests.to_string());
    let flags = ["-h", &host, "-p", &port, "-t", "get", "-c", &connections, "-n", &count, "--csv"];
    words.extend(flags.map(OsString::from));
    let text = output_of(&words, Duration::from_secs(u64::from(seconds) * 10 + 15))?;
    let rate = rate(&text)
        .ok_or_else(|| format!("redis-benchmark failed, or said something unexpected:\n{text}"))?;
    Ok(Load { done: requests.into(), rate })
}

/// The second field of the line about GET: requests a second.
fn rate(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("\"GET\",\""))?;
    line.split('"').next()?.parse().ok()
}
