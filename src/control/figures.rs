//! Numbers for people.

use std::time::Duration;

use crate::telemetry::Percentiles;

/// What stands for a number that there is not.
pub(crate) const NONE: &str = "-";

/// `3.2 ms`, `340 ms` or `12.0 s`.
pub(crate) fn millis(millis: Option<f64>) -> String {
    match millis {
        None => NONE.to_owned(),
        Some(millis) if millis < 100.0 => format!("{millis:.1} ms"),
        Some(millis) if millis < 10_000.0 => format!("{millis:.0} ms"),
        Some(millis) => format!("{:.1} s", millis / 1000.0),
    }
}

/// How many there are in a second.
pub(crate) fn rate(per_s: f64) -> String {
    if per_s < 100.0 { format!("{per_s:.1}") } else { format!("{per_s:.0}") }
}

/// `132 req/s, p50 3.2 ms, p95 12.0 ms, p99 40.1 ms`
pub(crate) fn percentiles(percentiles: &Percentiles) -> String {
    let Percentiles { p50_ms, p95_ms, p99_ms, per_s } = percentiles;
    let [p50, p95, p99] = [p50_ms, p95_ms, p99_ms].map(|one| millis(*one));
    format!("{} req/s, p50 {p50}, p95 {p95}, p99 {p99}", rate(*per_s))
}

pub(crate) fn percent(percent: Option<f64>) -> String {
    percent.map_or_else(|| NONE.to_owned(), |percent| format!("{percent:.1} %"))
}

/// Bytes with a unit.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1_u64 << 10)];
    match units.iter().find(|(_, scale)| bytes >= *scale) {
        None => format!("{bytes} B"),
        Some((unit, scale)) if bytes.is_multiple_of(*scale) => format!("{} {unit}", bytes / scale),
        Some((unit, scale)) => format!("{:.1} {unit}", bytes as f64 / *scale as f64),
    }
}

/// `3d 4h`, `5h 12m`, `7m 3s` or `42s`.
pub(crate) fn uptime(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let largest = UNITS.iter().position(|(length, _)| seconds >= *length).unwrap_or(UNITS.len() - 1);
    let of = |(length, unit): &(u64, &str), whole: u64| format!("{}{unit}", whole / length);
    let first = of(&UNITS[largest], seconds);
    match UNITS.get(largest + 1) {
        Some(next) => format!("{first} {}", of(next, seconds % UNITS[largest].0)),
        None => first,
    }
}

/// The time that a certificate has left.
pub(crate) fn expiry(expires_in_s: i64) -> String {
    const DAY: i64 = 24 * 3600;
    match expires_in_s {
        ..=0 => "EXPIRED".to_owned(),
        1..DAY => "EXPIRES TODAY".to_owned(),
        seconds => format!("expires in {} days", seconds / DAY),
    }
}

/// For how many seconds more, rounded up.
pub(crate) fn seconds_left(millis: u64) -> u64 {
    Duration::from_millis(millis).as_secs_f64().ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_matter() {
        let told = [0.04, 3.25, 340.4, 12_000.0].map(|time| millis(Some(time)));
        assert_eq!(told, ["0.0 ms", "3.2 ms", "340 ms", "12.0 s"]);
        assert_eq!((rate(0.0), rate(12.34), rate(1234.5)), ("0.0".into(), "12.3".into(), "1234".into()));
        assert_eq!(
            (millis(None), percent(None), percent(Some(33.33))),
            ("-".into(), "-".into(), "33.3 %".into())
        );
        assert_eq!([5, 65, 3600, 273_600].map(uptime), ["5s", "1m 5s", "1h 0m", "3d 4h"]);
    }
}
