//! The table of flows and its way to the pool, on a network and a clock that are made up.
//!
//! Clients, endpoints, losses, repetitions, delays, refusals and the passing of time all follow from a seed, and after
//! every step everything that was promised is checked. A seed that fails is named with what replays it.

mod checks;
mod event;
mod network;
mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

/// How many seeds are tried, and how many things happen in each.
const SEEDS: u64 = 100;
const STEPS: usize = 300;

/// The variable that names one seed to try alone.
const VARIABLE: &str = "EVENER_SEED";

#[test]
fn flows_keep_their_promises_whatever_happens() {
    match std::env::var(VARIABLE) {
        Ok(seed) => run(seed.parse().expect("EVENER_SEED is a number")),
        Err(_) => (0..SEEDS).for_each(run),
    }
}

fn run(seed: u64) {
    let mut events = Vec::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            events.push(world.step());
            world.check();
        }
        world.end();
    }));
    if let Err(panic) = outcome {
        let why = panic.downcast_ref::<String>().map(String::as_str);
        let why = why.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        let last = &events[events.len().saturating_sub(5)..];
        panic!(
            "seed {seed} fails after {} steps, the last of them {last:?}: {why}\n\
             {VARIABLE}={seed} cargo test --lib flows_keep_their_promises replays it",
            events.len()
        );
    }
}

/// Without these the promises would hold for want of occasion.
#[test]
fn everything_that_ends_flows_happens_in_the_simulation() {
    let mut seen = BTreeSet::new();
    let mut answered = 0;
    for seed in 0..SEEDS / 2 {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.end();
        seen.extend(world.reasons.iter().map(|reason| format!("{reason:?}")));
        seen.extend(world.discards.iter().map(|discard| format!("{discard:?}")));
        answered += world.answered;
    }
    assert_eq!(Vec::from_iter(seen), EXPECTED);
    assert!(answered > 1000, "{answered}");
}

const EXPECTED: [&str; 12] = [
    "Drained",
    "Draining",
    "EndpointFailed",
    "EndpointUnfit",
    "Evicted",
    "Full",
    "Idle",
    "NoRoom",
    "NoSocket",
    "NobodyFit",
    "Responses",
    "Unreachable",
];
