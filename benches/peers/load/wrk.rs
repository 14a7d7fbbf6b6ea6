use std::{fs, path::PathBuf, time::Duration};

use super::{Latency, Load};
use crate::{
    peer::Proxy,
    request::{HEADERS, HOST},
    site::Site,
    support::{
        Outcome,
        process::{find, output_of},
    },
};

/// Connections that wrk keeps busy, from one thread.
pub(crate) const CONNECTIONS: u32 = 50;

/// Loads `proxy` over HTTP/1.1 with requests for `path` for `seconds`.
///
/// # Errors
/// When wrk cannot run, takes far longer than it should, or met any failed request.
pub(super) fn run(site: &Site, proxy: &Proxy, path: &str, seconds: u32) -> Outcome<Load> {
    let mut words = site.workspace.cores.surroundings.prefix();
    words.push(find("wrk").ok_or("no wrk: scripts/need wrk")?.into());
    words.extend(
        ["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency", "-s"].map(Into::into),
    );
    words.push(script(site)?.into());
    words.push(format!("{}://{}{path}", proxy.wire.scheme(), proxy.address).into());
    let text = output_of(&words, Duration::from_secs(u64::from(seconds) + 15))?;
    parse(&text).ok_or_else(|| format!("wrk failed, or said something unexpected:\n{text}").into())
}

fn script(site: &Site) -> Outcome<PathBuf> {
    let path = site.workspace.dir.path().join("load.lua");
    if !path.exists() {
        let fields = [("Host", HOST)].into_iter().chain(HEADERS);
        let lines: Vec<String> =
            fields.map(|(name, value)| format!("wrk.headers[{name:?}] = {value:?}")).collect();
        fs::write(&path, include_str!("../conf/load.lua").replace("@HEADERS@", &lines.join("\n")))?;
    }
    Ok(path)
}

/// Reads the line that the script prints; `None` also when a request failed.
fn parse(text: &str) -> Option<Load> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[requests, duration, p50, p99, errors] = numbers.as_slice() else { return None };
    let sound = errors == 0.0 && requests > 0.0 && duration > 0.0;
    sound.then(|| Load {
        done: requests,
        rate: requests * 1e6 / duration,
        latency: Some(Latency { p50, p99 }),
    })
}
