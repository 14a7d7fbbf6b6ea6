use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Client, Mishaps},
    configuration::STEADY,
    request::{self, BODY},
    support::Outcome,
};

/// Connections, each with a thread.
pub(crate) const CONNECTIONS: u32 = 4;
/// Requests a second on all of them.
pub(crate) const RATE: u32 = 1_000;

/// What the steady client saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Of all requests, in milliseconds, from the fastest to the slowest.
    latencies: Vec<f64>,
    pub(crate) mishaps: Mishaps,
}

impl Seen {
    /// The latency that this part of the requests did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * part).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Asks `target` steadily for `seconds`, and does something `meanwhile`, which is given the first instant.
pub(crate) fn steady(
    target: SocketAddr,
    seconds: u32,
    meanwhile: impl FnOnce(Instant) -> Outcome<()>,
) -> Outcome<Seen> {
    let start = Instant::now() + Duration::from_millis(50);
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..CONNECTIONS).map(|number| scope.spawn(move || ask(target, start, seconds, number))).collect();
        let done = meanwhile(start);
        let mut seen = Seen::default();
        for thread in threads {
            let one = thread.join().map_err(|_| "a client panicked")??;
            seen.latencies.extend(one.latencies);
            seen.mishaps.closed += one.mishaps.closed;
            seen.mishaps.broken += one.mishaps.broken;
        }
        done?;
        seen.latencies.sort_by(f64::total_cmp);
        Ok(seen)
    })
}

/// What one connection carries: each request at its instant, or as soon as the one before is answered.
fn ask(target: SocketAddr, start: Instant, seconds: u32, number: u32) -> Result<Seen, String> {
    let mut client = Client::new(target);
    let request = request::get(STEADY, "");
    let mut latencies = Vec::with_capacity((seconds * RATE / CONNECTIONS) as usize);
    for turn in (number..seconds * RATE).step_by(CONNECTIONS as usize) {
        let mut begin = start + Duration::from_secs(1) / RATE * turn;
        let wait = begin.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
            // That this thread woke up late is not the proxy's.
            begin = Instant::now();
        }
        let answer = client.exchange(&request).map_err(|error| format!("a request failed: {error}"))?;
        if answer.status != 200 || answer.body != BODY {
            return Err(format!("status {} with {:?} under way", answer.status, answer.body));
        }
        latencies.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Seen { latencies, mishaps: client.mishaps })
}
