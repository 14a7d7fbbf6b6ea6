use std::fmt::{self, Write};

use crate::runtime::SplitStatus;
use crate::split::{CanaryPhase, CanaryStatus, FiguresStatus};

/// The status of one split for people.
pub(crate) fn split_table(split: &SplitStatus) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_split(split, &mut out);
    out
}

/// `split of checkout  by client_ip: stable 95 % (weight 95), canary 5 % (weight 5)`, and a line for its canary.
pub(super) fn write_split(split: &SplitStatus, out: &mut String) -> fmt::Result {
    let SplitStatus { route, by, to, canary } = split;
    let is_canary = |pool: &str| canary.as_ref().is_some_and(|canary| canary.pool == pool);
    let sides = to.iter().map(|side| match is_canary(&side.pool) {
        true => format!("{} {} %", side.pool, side.share_percent),
        false => format!("{} {} % (weight {})", side.pool, side.share_percent, side.weight),
    });
    let by = by.as_deref().unwrap_or("chance");
    writeln!(out, "split of {route}  by {by}: {}", sides.collect::<Vec<_>>().join(", "))?;
    canary.as_ref().map_or(Ok(()), |canary| write_canary(canary, out))
}

/// `  canary v2 running at 5 % for 12 s: 41 requests, 0 failures, p99 3.2 ms; others: …; waits for the end of 1m`
fn write_canary(canary: &CanaryStatus, out: &mut String) -> fmt::Result {
    let CanaryStatus { pool, phase, share_percent, for_s, paused, why, waits_for, canary, others } = canary;
    let state = if *paused { "paused" } else { phase.as_str() };
    write!(out, "  canary {pool} {state} at {share_percent} % for {for_s} s")?;
    if *phase == CanaryPhase::Running {
        write!(out, ": {}; others: {}", figures(canary), figures(others))?;
    }
    if let Some(waits_for) = waits_for {
        write!(out, "; waits for {waits_for}")?;
    }
    if let Some(why) = why {
        write!(out, ": {why}")?;
    }
    writeln!(out)
}

fn figures(figures: &FiguresStatus) -> String {
    let FiguresStatus { requests, failures, p99_ms } = figures;
    format!("{requests} requests, {failures} failures, p99 {p99_ms:.1} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(canary: &str) -> SplitStatus {
        let text = format!(
            r#"{{ "route": "shop", "by": "cookie sid", "canary": {canary}, "to": [
                {{ "pool": "old", "weight": 9, "share_percent": 95.0 }},
                {{ "pool": "new", "weight": 1, "share_percent": 5.25 }} ] }}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn canary(more: &str) -> String {
        format!(
            r#"{{ "pool": "new", "share_percent": 5.25, "for_s": 12, {more},
                "canary": {{ "requests": 41, "failures": 0, "p99_ms": 3.21 }},
                "others": {{ "requests": 820, "failures": 2, "p99_ms": 3.0 }} }}"#
        )
    }

    #[test]
    fn a_split_is_told_in_a_line() {
        let told = split_table(&status("null"));
        assert_eq!(told, "split of shop  by cookie sid: old 95 % (weight 9), new 5.25 % (weight 1)\n");
    }

    #[test]
    fn a_canary_tells_how_far_it_is_and_why() {
        let last_line = |more: &str| split_table(&status(&canary(more))).lines().nth(1).unwrap().to_owned();
        assert_eq!(
            last_line(r#""phase": "running", "paused": false, "why": null, "waits_for": "the end of 1m""#),
            "  canary new running at 5.25 % for 12 s: 41 requests, 0 failures, p99 3.2 ms; others: 820 requests, \
             2 failures, p99 3.0 ms; waits for the end of 1m"
        );
        assert_eq!(
            last_line(r#""phase": "aborted", "paused": false, "why": "p99 too long", "waits_for": null"#),
            "  canary new aborted at 5.25 % for 12 s: p99 too long"
        );
        assert!(
            last_line(r#""phase": "running", "paused": true, "why": null, "waits_for": "an operator""#)
                .contains("new paused at")
        );
    }
}
