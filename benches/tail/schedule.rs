use std::time::Duration;

use fastrand::Rng;

use crate::scenario::Scenario;

/// Requests a second.
pub(crate) const RATE: f64 = 400.0;
/// What a request costs an even origin on average.
pub(crate) const MEAN_COST: Duration = Duration::from_millis(5);

/// One request of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) number: u32,
    /// From the start of the run on.
    pub(crate) due: Duration,
    /// What it costs an origin that is as it should be.
    pub(crate) cost: Duration,
}

/// The requests of a run that is `span` long: a Poisson process, its costs exponential.
///
/// Instants and costs are drawn from streams of their own, so that request `i` comes at the same time in all scenarios,
/// and costs the same but for the factor of the scenario.
pub(crate) fn requests(scenario: Scenario, seed: u64, span: Duration) -> Vec<Request> {
    let mut arrivals = Rng::with_seed(seed);
    let mut costs = arrivals.fork();
    let mut factors = arrivals.fork();
    let mut due = Duration::ZERO;
    let mut requests = Vec::new();
    for number in 0.. {
        due += exponential(&mut arrivals, Duration::from_secs_f64(1.0 / RATE));
        if due >= span {
            break;
        }
        let cost = exponential(&mut costs, MEAN_COST) * scenario.factor(factors.f64());
        requests.push(Request { number, due, cost });
    }
    requests
}

fn exponential(random: &mut Rng, mean: Duration) -> Duration {
    // 1 - u is never 0, whose logarithm would be endless.
    mean.mul_f64(-(1.0 - random.f64()).ln())
}
