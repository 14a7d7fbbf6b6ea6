use std::fmt::Write;

use prometheus_client::metrics::MetricType;

use super::families::ALL;

/// docs/metrics.md's table: every metric, its kind, its labels and what it tells.
pub(super) fn reference() -> String {
    let mut text = String::from("| metric | kind | labels | what it tells |\n|---|---|---|---|\n");
    for family in ALL {
        let kind = match family.kind {
            MetricType::Counter => "counter",
            MetricType::Histogram => "histogram",
            _ => "gauge",
        };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let name = family.full_name();
        // Writing into a string cannot fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {} |", labels.join(", "), family.help);
    }
    text
}
