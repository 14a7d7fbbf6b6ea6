use std::time::Duration;

use super::Load;
use crate::{
    peer::Proxy,
    request::{HEADERS, HOST},
    site::Site,
    support::{
        Outcome,
        process::{find, output_of},
    },
};

/// Streams that are kept busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub(super) connections: u32,
    pub(super) on_each: u32,
}

/// Loads `proxy` over HTTP/2 for `seconds`.
///
/// # Errors
/// When h2load cannot run, takes far longer than it should, or met any failed request.
pub(super) fn run(site: &Site, proxy: &Proxy, streams: Streams, seconds: u32) -> Outcome<Load> {
    let mut words = site.workspace.cores.surroundings.prefix();
    words.push(find("h2load").ok_or("no h2load: scripts/need nghttp2-client")?.into());
    let Streams { connections, on_each } = streams;
    let flags = [
        format!("--clients={connections}"),
        format!("--max-concurrent-streams={on_each}"),
        format!("--duration={seconds}"),
        format!("--connect-to={}", proxy.address),
        "--npn-list=h2".to_owned(),
    ];
    words.extend(flags.map(Into::into));
    words.extend(HEADERS.iter().map(|(name, value)| format!("--header={name}: {value}").into()));
    words.push(format!("https://{HOST}/").into());
    let text = output_of(&words, Duration::from_secs(u64::from(seconds) + 15))?;
    parse(&text).ok_or_else(|| format!("h2load failed, or said something unexpected:\n{text}").into())
}

/// Reads the counts; `None` also when a request failed or TLS 1.3 was not spoken.
fn parse(text: &str) -> Option<Load> {
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let rate: f64 = number(after("finished in ")?, "req/s")?;
    let counts = after("requests: ")?;
    let done = number(counts, "done")?;
    let failed = number(counts, "failed")? + number(counts, "errored")? + number(counts, "timeout")?;
    let good = number(after("status codes: ")?, "2xx")?;
    let is_sound = done > 0.0 && good >= done && failed == 0.0 && after("TLS Protocol: ")? == "TLSv1.3";
    is_sound.then_some(Load { done, rate, latency: None })
}

/// The number before `word` in a list with commas.
fn number(list: &str, word: &str) -> Option<f64> {
    let part = list.split(", ").find_map(|part| part.strip_suffix(word))?;
    part.trim().parse().ok()
}
