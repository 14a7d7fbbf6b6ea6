//! Requests that are drawn: when they come, what they cost, and who sends them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::types::Random;

/// One request of a run: the same for every policy.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Since the beginning of the run.
    pub(super) arrival: Duration,
    /// How long an endpoint of usual speed works on it.
    pub(super) cost: Duration,
    pub(super) sender: Arc<Sender>,
}

/// What policies that hash know of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) client: IpAddr,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
}

/// How requests are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub(super) requests: usize,
    /// Requests in a second, on average.
    pub(super) rate: f64,
    pub(super) costs: Costs,
}

/// How long requests take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Costs {
    /// Exponentially distributed.
    Usual,
    /// The same, but so many times longer for one request in five.
    SomeLong(u32),
    /// No request ends.
    Endless,
}

/// The mean cost of a usual request in milliseconds.
pub(super) const MEAN_COST_MS: f64 = 5.0;
/// One request in so many is a long one.
pub(super) const ONE_LONG_IN: u32 = 5;
/// So many clients send the requests, each as many as any other.
const CLIENTS: u32 = 1000;

impl Traffic {
    /// Each property has a source of its own, so that another rate leaves the costs as they are.
    pub(super) fn draw(&self, seed: u64) -> Vec<Request> {
        let mut seeds = Random::with_seed(seed);
        let [mut gaps, mut costs, mut lengths, mut clients] = [(); 4].map(|()| seeds.fork());
        let senders: Vec<_> = (0..CLIENTS).map(|number| Arc::new(Sender::number(number))).collect();
        let mut arrival = 0.0;
        let draw = |_| {
            arrival += exponential(&mut gaps) / self.rate;
            let cost = MEAN_COST_MS / 1e3 * exponential(&mut costs);
            let is_long = lengths.u32(0..ONE_LONG_IN) == 0;
            Request {
                arrival: seconds(arrival),
                cost: seconds(cost * self.costs.factor(is_long)),
                sender: senders[clients.usize(0..senders.len())].clone(),
            }
        };
        (0..self.requests).map(draw).collect()
    }
}

impl Costs {
    fn factor(self, is_long: bool) -> f64 {
        match self {
            Self::SomeLong(factor) if is_long => f64::from(factor),
            _ => 1.0,
        }
    }
}

impl Sender {
    /// One of many clients whose addresses are spread over the whole range.
    pub(super) fn number(number: u32) -> Self {
        // An odd factor maps each number to another address.
        let client = IpAddr::V4(Ipv4Addr::from((number + 1).wrapping_mul(0x9E37_79B1)));
        Self { client, host: "www.example.com".to_owned(), path: format!("/{number}"), query: None }
    }
}

/// An exponentially distributed number with mean 1, after von Neumann ("Various Techniques Used in Connection with
/// Random Digits", 1951): by comparisons alone, since logarithms differ in their last digit between machines.
fn exponential(random: &mut Random) -> f64 {
    let mut whole = 0.0;
    loop {
        let first = random.f64();
        if falls_for_odd_length(first, random) {
            return whole + first;
        }
        whole += 1.0;
    }
}

/// Whether numbers drawn one after the other, beginning with `first`, fall for an odd number of them: so it is with
/// probability `e^-first`.
fn falls_for_odd_length(first: f64, random: &mut Random) -> bool {
    let (mut last, mut is_odd) = (first, true);
    loop {
        let next = random.f64();
        if next > last {
            return is_odd;
        }
        (last, is_odd) = (next, !is_odd);
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_nanos((seconds * 1e9) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_distribution_has_its_moments() {
        let mut random = Random::with_seed(1);
        let draws: Vec<_> = (0..200_000).map(|_| exponential(&mut random)).collect();
        let mean = |power| draws.iter().map(|draw| f64::powi(*draw, power)).sum::<f64>() / draws.len() as f64;
        assert!((mean(1) - 1.0).abs() < 0.01, "{}", mean(1));
        assert!((mean(2) - 2.0).abs() < 0.04, "{}", mean(2));
        assert!((mean(3) - 6.0).abs() < 0.3, "{}", mean(3));
    }

    #[test]
    fn another_rate_leaves_the_costs_as_they_are() {
        let traffic = |rate| Traffic { requests: 100, rate, costs: Costs::SomeLong(10) }.draw(7);
        let (slow, fast) = (traffic(10.0), traffic(1000.0));
        assert!(slow.iter().zip(&fast).all(|(a, b)| a.cost == b.cost && a.sender == b.sender));
        assert!(slow[99].arrival > fast[99].arrival * 99);
        assert!(fast.is_sorted_by_key(|request| request.arrival));
    }

    #[test]
    fn clients_differ() {
        let mut clients: Vec<_> = (0..CLIENTS).map(|number| Sender::number(number).client).collect();
        clients.sort_unstable();
        clients.dedup();
        assert_eq!(clients.len(), CLIENTS as usize);
    }
}
