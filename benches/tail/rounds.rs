use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    balancer::Balancer,
    behaviour::Behaviour,
    figures::{Figures, Run},
    load,
    options::Options,
    scenario::Scenario,
    schedule::{self, Request},
    site::Site,
    support::{Outcome, turns::rotated},
};

/// The time of even origins at the start of a run, whose requests do not count.
const BEFORE: Duration = Duration::from_secs(1);
/// How long the check of a balancer takes.
const CHECK: Duration = Duration::from_secs(1);
/// So many times a run may be thrown away before there are no figures at all.
const REFUSALS: usize = 5;
/// For the machine to calm down after that.
const CALM: Duration = Duration::from_secs(2);

/// Checks all balancers, then measures them in all scenarios.
pub(crate) fn measure(options: &Options, site: &Site) -> Outcome<Figures> {
    let balancers = options.balancers();
    for &balancer in &balancers {
        check(site, balancer).map_err(|error| format!("{} is not fit: {error}", balancer.name()))?;
    }
    eprintln!("{} balancers answer rightly out of all origins", balancers.len());
    tell_length(options, &balancers);
    let mut figures = Figures::default();
    for scenario in options.scenarios() {
        let turns: Vec<Balancer> =
            balancers.iter().copied().filter(|balancer| balancer.is_in(scenario)).collect();
        for round in 0..options.common.rounds {
            for &balancer in rotated(&turns, round) {
                let run = accepted_run(options, site, (scenario, balancer, round), &mut figures.refused)?;
                tell(scenario, balancer, round, &run);
                figures.add(scenario, balancer, run);
            }
        }
    }
    Ok(figures)
}

/// Checks that a balancer answers every request rightly, out of all origins, over connections that are used again.
fn check(site: &Site, balancer: Balancer) -> Outcome<()> {
    let requests = schedule::requests(Scenario::Uniform, 0, BEFORE + CHECK);
    let run = run(site, balancer, requests, Behaviour::Even)?;
    if run.failed() > 0 {
        return Err(format!("of {} requests failed {:?}", run.requests(), run.faults).into());
    }
    if run.seen.requests.contains(&0) {
        return Err(format!("the requests by origin are {:?}", run.seen.requests).into());
    }
    if run.seen.connections as usize > run.requests() / 4 {
        return Err(format!("{} requests took {} connections", run.requests(), run.seen.connections).into());
    }
    Ok(())
}

/// Repeats a run until the machine had time for it.
fn accepted_run(
    options: &Options,
    site: &Site,
    (scenario, balancer, round): (Scenario, Balancer, u32),
    refused: &mut usize,
) -> Outcome<Run> {
    let requests =
        schedule::requests(scenario, options.seed.wrapping_add(round.into()), BEFORE + options.span());
    for _ in 0..=REFUSALS {
        let run = run(site, balancer, requests.clone(), scenario.behaviour(options.span()))?;
        if run.late() <= options.max_late().as_secs_f64() * 1e3 {
            return Ok(run);
        }
        eprintln!(
            "refused: the generator was {:.2} ms late, the origins {:.2} ms",
            run.generator_late, run.origins_late
        );
        *refused += 1;
        thread::sleep(CALM);
    }
    Err(format!("{} runs in a row were late; the machine is too busy", REFUSALS + 1).into())
}

/// One run of a fresh process of the balancer.
fn run(site: &Site, balancer: Balancer, requests: Vec<Request>, behaviour: Behaviour) -> Outcome<Run> {
    let proxy = balancer.start(site)?;
    let start = Instant::now();
    site.fleet.play(start + BEFORE, behaviour);
    let mut samples = load::drive(proxy.address, requests, start, &site.timer)?;
    samples.retain(|sample| sample.due >= BEFORE);
    let seen = site.fleet.settle()?;
    Ok(Run::of(&samples, seen))
}

fn tell_length(options: &Options, balancers: &[Balancer]) {
    let turns = |scenario| balancers.iter().filter(|balancer| balancer.is_in(scenario)).count();
    let runs = options.scenarios().into_iter().map(turns).sum::<usize>() * options.common.rounds as usize;
    let seconds = runs as f64 * (BEFORE + options.span()).as_secs_f64();
    eprintln!("{runs} runs take {:.0} minutes", (seconds / 60.0).ceil());
}

fn tell(scenario: Scenario, balancer: Balancer, round: u32, run: &Run) {
    let [p50, p99, max] = [50.0, 99.0, 100.0].map(|percent| run.percentile(percent));
    eprintln!(
        "{} {}: {}: p50 {p50:.1}, p99 {p99:.1}, max {max:.1} ms; failed {} of {} {:?}; {} connections; \
         late {:.2}/{:.2} ms",
        scenario.name(),
        round + 1,
        balancer.name(),
        run.failed(),
        run.requests(),
        run.faults,
        run.seen.connections,
        run.generator_late,
        run.origins_late,
    );
}
