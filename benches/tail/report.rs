//! The report as Markdown.

use std::time::SystemTime;

use crate::{
    balancer::Balancer,
    bars::Bar,
    figures::{Figures, Pooled, Run},
    options::Options,
    priority::Priority,
    scenario::Scenario,
    schedule::{MEAN_COST, RATE},
    stage::ORIGINS,
    support::machine::Machine,
};

const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// The whole report.
pub(crate) fn markdown(
    options: &Options,
    priority: Priority,
    versions: &[String],
    figures: &Figures,
    bars: &[Bar],
) -> String {
    let mut text = heading(options, priority, versions, figures);
    for scenario in options.scenarios() {
        text.push_str(&section(scenario, figures));
    }
    text.push_str("\n## Bars\n\n| bar | is | limit | |\n|---|---|---|---|\n");
    text.extend(bars.iter().map(Bar::row));
    text
}

fn heading(options: &Options, priority: Priority, versions: &[String], figures: &Figures) -> String {
    let Machine { cpu, cores, kernel } = Machine::this();
    let date = humantime::format_rfc3339_seconds(SystemTime::now());
    format!(
        "# Tail latency\n\n\
         {date}; {cpu}, {cores} cores, Linux {kernel}; {placement}, {priority}.\n\
         {programs}.\n\
         {ORIGINS} origins with a mean of {MEAN_COST:?}, {RATE} requests a second open-loop; rounds: {rounds}, of \
         {span:?} for each run; seed {seed}; runs that were late and repeated: {refused}.\n\
         Latency in ms, of right answers out of all rounds; in the last columns the median of the rounds, with \
         the lowest and the highest.\n",
        placement = options.common.placement.describe(),
        priority = priority.describe(),
        programs = versions.join("; "),
        rounds = options.common.rounds,
        span = options.span(),
        seed = options.seed,
        refused = figures.refused,
    )
}

fn section(scenario: Scenario, figures: &Figures) -> String {
    let mut text = format!("\n## {}: {}\n\n", scenario.name(), scenario.describe());
    text.push_str("| | p50 | p90 | p99 | p99.9 | max | errors, % | p99 a round | odd origin's share, % |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for balancer in figures.balancers(scenario) {
        text.extend(figures.pooled(scenario, balancer).map(|pooled| row(balancer, &pooled)));
    }
    let worst = |late: fn(&Run) -> f64| figures.runs(scenario).map(late).fold(0.0, f64::max);
    let [generator, origins] = [worst(|run| run.generator_late), worst(|run| run.origins_late)];
    text.push_str(&format!(
        "\nLate at most, as the p99 of a run: the generator {generator:.2} ms, the origins' timers {origins:.2} ms.\n"
    ));
    text
}

fn row(balancer: Balancer, pooled: &Pooled) -> String {
    let mut cells = vec![balancer.name().to_owned()];
    cells.extend(PERCENTILES.map(|percent| format!("{:.1}", pooled.percentile(percent))));
    cells.push(format!("{:.2}", pooled.errors()));
    let spreads = [pooled.p99s(), pooled.odd_share()];
    cells.extend(spreads.map(|spread| spread.map_or_else(|| "–".to_owned(), |spread| spread.text(1))));
    format!("| {} |\n", cells.join(" | "))
}
