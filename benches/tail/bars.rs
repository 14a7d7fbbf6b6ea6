use clap::ValueEnum;

use crate::{
    balancer::{Balancer, Kind},
    figures::Figures,
    scenario::Scenario,
    support::verdict::Verdict,
};

/// What Evener promises of its tail latency.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    what: String,
    /// As text, with the sign of the comparison.
    limit: String,
    /// `None` when what it needs was not measured.
    value: Option<f64>,
    pub(crate) verdict: Verdict,
}

impl Bar {
    /// All bars, held against what was measured.
    pub(crate) fn all(figures: &Figures) -> Vec<Self> {
        let mut bars = Vec::new();
        for balancer in [Balancer::EvenerDefault, Balancer::EvenerPeakEwma] {
            for scenario in Scenario::value_variants() {
                let what = format!("{}: p99 of {}, times the best peer's", scenario.name(), balancer.name());
                bars.push(Self::at_most(what, 1.05, to_best_peer(figures, *scenario, balancer)));
            }
        }
        let errors = |balancer| Some(figures.pooled(Scenario::FastFail, balancer)?.errors());
        let longest = |balancer| Some(figures.pooled(Scenario::Pause, balancer)?.longest());
        bars.extend([
            Self::at_most(
                "one-slow: p99 of Evener peak_ewma, times the best peer's".to_owned(),
                0.5,
                to_best_peer(figures, Scenario::OneSlow, Balancer::EvenerPeakEwma),
            ),
            Self::below(
                "fast-fail: errors of Evener, default, in %".to_owned(),
                1.0,
                errors(Balancer::EvenerDefault),
            ),
            Self::at_most(
                "fast-fail: errors of Evener with retries on 503, in %".to_owned(),
                0.0,
                errors(Balancer::EvenerRetry),
            ),
            Self::below(
                "pause: maximum of Evener with retries on timeout, in ms; a failed request never ends"
                    .to_owned(),
                500.0,
                longest(Balancer::EvenerPerTry),
            ),
        ]);
        bars
    }

    fn at_most(what: String, limit: f64, value: Option<f64>) -> Self {
        let verdict = Verdict::of(value, |value| value <= limit);
        Self { what, limit: format!("≤ {limit}"), value, verdict }
    }

    fn below(what: String, limit: f64, value: Option<f64>) -> Self {
        let verdict = Verdict::of(value, |value| value < limit);
        Self { what, limit: format!("< {limit}"), value, verdict }
    }

    /// Its row of a Markdown table.
    pub(crate) fn row(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "**miss**",
            Verdict::Skip => "not measured",
        };
        let value = self.value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
        format!("| {} | {value} | {} | {verdict} |\n", self.what, self.limit)
    }
}

/// The p99 of a balancer divided by the lowest of nginx's and HAProxy's, tuned ones among them.
fn to_best_peer(figures: &Figures, scenario: Scenario, balancer: Balancer) -> Option<f64> {
    let p99 = |balancer| Some(figures.pooled(scenario, balancer)?.percentile(99.0));
    let peers = figures.balancers(scenario).filter(|balancer| balancer.kind() != Kind::Evener);
    let best = peers.filter_map(p99).reduce(f64::min)?;
    Some(p99(balancer)? / best)
}
