//! What came out, as a table and as JSON.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::SimulateError;
use super::engine::Outcomes;

/// All that a run of the command has to tell.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) scenario: String,
    /// What is told besides, one line each.
    pub(super) notes: Vec<String>,
    pub(super) policies: Vec<Row>,
}

/// What came out for one policy.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) policy: String,
    served: usize,
    errors: usize,
    /// Requests that were still in flight when the run was over.
    in_flight: usize,
    latency_ms: Option<Percentiles>,
    worst_backlog: u32,
    /// How many requests each endpoint got.
    picks: Vec<u64>,
    /// Of the requests that were served, the shortest first.
    #[serde(skip)]
    pub(super) latencies: Vec<Duration>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Percentiles {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p99_9: f64,
    max: f64,
}

/// So many endpoints have their shares told one by one.
const MOST_SHARES: usize = 10;

impl Row {
    pub(super) fn new(policy: String, requests: usize, outcomes: Outcomes) -> Self {
        let Outcomes { latencies, errors, worst_backlog, picks } = outcomes;
        Self {
            policy,
            served: latencies.len(),
            errors,
            in_flight: requests - latencies.len() - errors,
            latency_ms: Percentiles::of(&latencies),
            worst_backlog,
            picks,
            latencies,
        }
    }

    /// Columns of the table.
    fn cells(&self) -> [String; 9] {
        let latency = |pick: fn(&Percentiles) -> f64| {
            self.latency_ms.as_ref().map_or("-".to_owned(), |latency| format!("{:.1}", pick(latency)))
        };
        [
            self.policy.clone(),
            latency(|latency| latency.p50),
            latency(|latency| latency.p90),
            latency(|latency| latency.p99),
            latency(|latency| latency.p99_9),
            latency(|latency| latency.max),
            self.worst_backlog.to_string(),
            format!("{:.2}", percent(self.errors, self.served + self.errors)),
            self.shares(),
        ]
    }

    /// Each endpoint's share of the requests in percent; of many, the smallest and the largest one.
    fn shares(&self) -> String {
        let all: u64 = self.picks.iter().sum();
        let share = |picks: &u64| percent(*picks as usize, all as usize);
        if self.picks.len() <= MOST_SHARES {
            let shares: Vec<_> = self.picks.iter().map(|picks| format!("{:.0}", share(picks))).collect();
            return shares.join(" ");
        }
        let (least, most) = (self.picks.iter().min(), self.picks.iter().max());
        format!("{:.1} to {:.1}", least.map_or(0.0, share), most.map_or(0.0, share))
    }
}

fn percent(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}

impl Percentiles {
    fn of(sorted: &[Duration]) -> Option<Self> {
        let longest = sorted.last()?;
        // The nearest rank; in thousandths, so that nothing is rounded.
        let rank = |thousandths: usize| (sorted.len() * thousandths).div_ceil(1000).max(1);
        let percentile = |thousandths| millis(sorted[rank(thousandths) - 1]);
        let sum: Duration = sorted.iter().sum();
        Some(Self {
            mean: millis(sum / sorted.len() as u32),
            p50: percentile(500),
            p90: percentile(900),
            p99: percentile(990),
            p99_9: percentile(999),
            max: millis(*longest),
        })
    }
}

/// Milliseconds with three decimals, which is what is told in JSON.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

impl Report {
    pub(super) fn json(&self) -> Result<String, SimulateError> {
        let json =
            serde_json::to_string_pretty(self).map_err(|error| SimulateError::new(error.to_string()))?;
        Ok(json + "\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.scenario)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))?;
        f.write_char('\n')?;
        let header = ["policy", "p50", "p90", "p99", "p99.9", "max", "backlog", "errors %", "shares %"];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(self.policies.iter().map(Row::cells));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..header.len()).map(width).collect();
        for row in &rows {
            let (policy, shares) = (&row[0], &row[header.len() - 1]);
            write!(f, "{policy:<width$}", width = widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1).take(header.len() - 2) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f, "  {shares}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(latencies: Vec<Duration>) -> Row {
        let outcomes = Outcomes { latencies, errors: 5, worst_backlog: 9, picks: vec![30, 75] };
        Row::new("p2c".to_owned(), 110, outcomes)
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        let Some(latency) = row(hundred).latency_ms else { panic!("there are latencies") };
        assert_eq!((latency.p50, latency.p90, latency.p99, latency.p99_9), (50.0, 90.0, 99.0, 100.0));
        assert_eq!((latency.mean, latency.max), (50.5, 100.0));
    }

    #[test]
    fn the_table_is_aligned() {
        let row = |policy: &str, longest| Row {
            policy: policy.to_owned(),
            ..row(vec![Duration::from_millis(1), Duration::from_millis(longest)])
        };
        let report = Report {
            scenario: "two endpoints".to_owned(),
            notes: vec!["110 requests".to_owned()],
            policies: vec![row("p2c", 10), row("least_requests", 20_000)],
        };
        assert_eq!(
            report.to_string(),
            "two endpoints
110 requests

policy          p50      p90      p99    p99.9      max  backlog  errors %  shares %
p2c             1.0     10.0     10.0     10.0     10.0        9     71.43  29 71
least_requests  1.0  20000.0  20000.0  20000.0  20000.0        9     71.43  29 71
"
        );
    }

    #[test]
    fn nothing_served_has_no_latency() {
        let row = row(Vec::new());
        assert_eq!(row.cells()[1], "-");
        assert_eq!((row.in_flight, &*row.cells()[7]), (105, "100.00"));
    }
}
