use std::fmt::Write;

use crate::runtime::{
    CacheDiskUse, CacheStatus, CertificateStatus, EndpointStatus, ListenerStatus, PoolStatus, Status,
};

use super::split_table::write_split;

const HEADINGS: [&str; COLUMNS] =
    ["ENDPOINT", "STATE", "WEIGHT", "IN FLIGHT", "PICKS", "FAILURES", "LATENCY", "NOTES"];
const COLUMNS: usize = 8;
/// Columns of texts stand left, those of numbers right.
const IS_TEXT: [bool; COLUMNS] = [true, true, false, false, false, false, false, true];

type Row = [String; COLUMNS];

/// The status for people: for each pool a line with its totals, then its endpoints in columns.
pub(crate) fn table(status: &Status) -> String {
    let mut out = format!("evener {}, process {}", status.version, status.process);
    if status.generation > 1 {
        // Writing into a String cannot fail.
        let _ = write!(out, ", generation {}", status.generation);
    }
    out.push_str(if status.draining { ", draining\n" } else { "\n" });
    for listener in &status.listeners {
        // Writing into a String cannot fail.
        let _ = write_listener(listener, &mut out);
    }
    for split in &status.splits {
        let _ = write_split(split, &mut out);
    }
    for pool in &status.pools {
        let _ = write_pool(pool, &mut out);
    }
    if !status.certificates.is_empty() || !status.caches.is_empty() {
        out.push('\n');
    }
    for cache in &status.caches {
        let _ = write_cache(cache, &mut out);
    }
    for certificate in &status.certificates {
        let _ = write_certificate(certificate, &mut out);
    }
    out
}

/// `listener web  http on 0.0.0.0:8080, 12 connections, 0 refused`
fn write_listener(listener: &ListenerStatus, out: &mut String) -> std::fmt::Result {
    let ListenerStatus { name, serves, bind, open, refused, dropped, .. } = listener;
    let bind = bind.join(", ");
    write!(out, "listener {name}  {serves} on {bind}, ")?;
    match serves.as_str() {
        "udp" => writeln!(out, "{open} flows, {dropped} datagrams dropped"),
        _ => writeln!(out, "{open} connections, {refused} refused"),
    }
}

/// `cache main  1.5 MiB of 512 MiB in memory, 2.1 GiB of 20 GiB in /var/cache/evener`
fn write_cache(cache: &CacheStatus, out: &mut String) -> std::fmt::Result {
    let CacheStatus { name, memory_bytes, memory_size, disk } = cache;
    write!(out, "cache {name}  {} of {} in memory", size(*memory_bytes), size(*memory_size))?;
    if let Some(disk) = disk {
        write!(out, ", {} of {} in {}", size(disk.bytes), size(disk.size), disk.path)?;
        let state = match disk.state {
            CacheDiskUse::InUse => None,
            CacheDiskUse::Full => Some("FULL, nothing is written"),
            CacheDiskUse::Off => Some("OFF, works from memory"),
            CacheDiskUse::Elsewhere => Some("works from memory until it has that folder"),
        };
        state.map_or(Ok(()), |state| write!(out, ", {state}"))?;
        if let (Some(seconds), Some(why)) = (disk.for_s, &disk.why) {
            write!(out, " for {seconds} s: {why}")?;
        }
        if disk.files_given_up > 0 {
            write!(out, ", {} files given up", disk.files_given_up)?;
        }
    }
    writeln!(out)
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1_u64 << 10)];
    match units.iter().find(|(_, scale)| bytes >= *scale) {
        None => format!("{bytes} B"),
        Some((unit, scale)) if bytes.is_multiple_of(*scale) => format!("{} {unit}", bytes / scale),
        Some((unit, scale)) => format!("{:.1} {unit}", bytes as f64 / *scale as f64),
    }
}

/// `certificate of secure for a.example, *.a.example (ECDSA) expires in 61 days, 2026-03-01T00:00:00Z: tls/a.pem`
fn write_certificate(certificate: &CertificateStatus, out: &mut String) -> std::fmt::Result {
    const DAY: i64 = 24 * 3600;
    let CertificateStatus { listener, names, key, not_after, expires_in_s, file } = certificate;
    let left = match *expires_in_s {
        ..=0 => "EXPIRED".to_owned(),
        1..DAY => "EXPIRES TODAY".to_owned(),
        seconds => format!("expires in {} days", seconds / DAY),
    };
    let names = names.join(", ");
    writeln!(out, "certificate of {listener} for {names} ({key}) {left}, {not_after}: {file}")
}

fn write_pool(pool: &PoolStatus, out: &mut String) -> std::fmt::Result {
    let panic = if pool.panic { ", PANIC: all serve that can be connected to" } else { "" };
    writeln!(
        out,
        "\n{}  {}, {} of {} fit, {} in flight, {} waiting, {} retries, {} picks, {} failures{panic}",
        pool.name,
        pool.balance,
        pool.fit,
        pool.endpoints.len(),
        pool.in_flight,
        pool.waiting,
        pool.retries,
        pool.picks,
        pool.failures
    )?;
    let headings = HEADINGS.map(str::to_owned);
    let rows: Vec<Row> = std::iter::once(headings).chain(pool.endpoints.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for row in &rows {
        write_row(row, &widths, out)?;
    }
    Ok(())
}

fn write_row(row: &Row, widths: &[usize; COLUMNS], out: &mut String) -> std::fmt::Result {
    let mut line = String::new();
    for (column, cell) in row.iter().enumerate() {
        let width = widths[column];
        if IS_TEXT[column] {
            write!(line, "  {cell:<width$}")?;
        } else {
            write!(line, "  {cell:>width$}")?;
        }
    }
    writeln!(out, "{}", line.trim_end())
}

fn row(endpoint: &EndpointStatus) -> Row {
    [
        endpoint.address.clone(),
        endpoint.state.as_str().to_owned(),
        endpoint.weight.to_string(),
        format!("{}/{}", endpoint.in_flight, endpoint.max_requests),
        endpoint.picks.to_string(),
        endpoint.failures.to_string(),
        endpoint.latency_ms.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.1} ms")),
        notes(endpoint).join(", "),
    ]
}

fn notes(endpoint: &EndpointStatus) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(endpoint.zone.as_ref().map(|zone| format!("zone {zone}")));
    if endpoint.backup {
        notes.push("backup".to_owned());
    }
    if endpoint.on_trial {
        notes.push("on trial".to_owned());
    }
    notes.extend(endpoint.slow_start_percent.map(|percent| format!("slow start at {percent} %")));
    notes.extend(endpoint.ejected_for_ms.map(|left| format!("ejected for {} s more", left.div_ceil(1000))));
    let failed = endpoint.probes.last().filter(|probe| !probe.passed);
    // Endpoints have a say in some reasons, and none in what a terminal does.
    let shown = |reason: &str| reason.replace(char::is_control, "\u{fffd}");
    notes.extend(failed.map(|probe| format!("probe failed: {}", shown(&probe.reason))));
    notes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pools::State;
    use crate::telemetry::Percentiles;

    fn endpoint(address: &str, state: State) -> EndpointStatus {
        EndpointStatus {
            address: address.to_owned(),
            state,
            since: String::new(),
            weight: 1,
            zone: None,
            on_trial: false,
            backup: false,
            in_flight: 0,
            max_requests: 1024,
            picks: 0,
            failures: 0,
            latency_ms: None,
            slow_start_percent: None,
            ejected_for_ms: None,
            reason: None,
            ejections: 0,
            last_minute: Percentiles::default(),
            picks_percent: None,
            probes: Vec::new(),
        }
    }

    fn pool() -> PoolStatus {
        let busy = EndpointStatus {
            weight: 100,
            zone: Some("a".to_owned()),
            in_flight: 12,
            picks: 1532,
            latency_ms: Some(3.25),
            slow_start_percent: Some(40),
            ..endpoint("10.0.0.1:9001", State::Fit)
        };
        let ejected = EndpointStatus {
            backup: true,
            failures: 5,
            ejected_for_ms: Some(8_200),
            ..endpoint("10.0.0.2:80", State::Ejected)
        };
        PoolStatus {
            name: "app".to_owned(),
            balance: "p2c".to_owned(),
            in_flight: 12,
            waiting: 1,
            retries: 2,
            picks: 1532,
            failures: 5,
            panic: false,
            fit: 1,
            last_minute: Percentiles::default(),
            waited: 0,
            retried: 0,
            retries_refused: 0,
            hedged: 0,
            unserved: BTreeMap::new(),
            endpoints: vec![busy, ejected],
        }
    }

    fn status(pools: Vec<PoolStatus>) -> Status {
        Status { version: "0.1.0".to_owned(), process: 42, generation: 1, pools, ..Status::default() }
    }

    #[test]
    fn stores_of_answers_tell_how_they_are() {
        use crate::runtime::CacheDiskStatus;
        let disk = |state, why: Option<&str>, files_given_up| CacheDiskStatus {
            path: "/cache".to_owned(),
            bytes: 3 << 29,
            size: 20 << 30,
            state,
            for_s: why.map(|_| 35),
            why: why.map(str::to_owned),
            files_given_up,
        };
        for (disk, expected) in [
            (None, ""),
            (Some(disk(CacheDiskUse::InUse, None, 0)), ", 1.5 GiB of 20 GiB in /cache"),
            (
                Some(disk(CacheDiskUse::Off, Some("Input/output error"), 2)),
                ", 1.5 GiB of 20 GiB in /cache, OFF, works from memory for 35 s: Input/output error, 2 files given up",
            ),
            (
                Some(disk(CacheDiskUse::Full, Some("no space"), 0)),
                ", 1.5 GiB of 20 GiB in /cache, FULL, nothing is written for 35 s: no space",
            ),
        ] {
            let cache =
                CacheStatus { name: "main".to_owned(), memory_bytes: 700, memory_size: 1 << 20, disk };
            let told = table(&Status { caches: vec![cache], ..status(Vec::new()) });
            assert_eq!(
                told.lines().last().unwrap(),
                format!("cache main  700 B of 1 MiB in memory{expected}")
            );
        }
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "evener 0.1.0, process 42

app  p2c, 1 of 2 fit, 12 in flight, 1 waiting, 2 retries, 1532 picks, 5 failures
  ENDPOINT       STATE    WEIGHT  IN FLIGHT  PICKS  FAILURES  LATENCY  NOTES
  10.0.0.1:9001  fit         100    12/1024   1532         0   3.2 ms  zone a, slow start at 40 %
  10.0.0.2:80    ejected       1     0/1024      0         5        -  backup, ejected for 9 s more
";
        assert_eq!(table(&status(vec![pool()])), expected);
    }

    #[test]
    fn certificates_are_told_with_what_they_have_left() {
        let certificate = |expires_in_s| CertificateStatus {
            listener: "secure".to_owned(),
            names: vec!["a.example".to_owned(), "*.a.example".to_owned()],
            key: "ECDSA".to_owned(),
            not_after: "2026-03-01T00:00:00Z".to_owned(),
            expires_in_s,
            file: "tls/a.pem".to_owned(),
        };
        for (left, expected) in
            [(-1, "EXPIRED"), (3600, "EXPIRES TODAY"), (61 * 24 * 3600 + 5, "expires in 61 days")]
        {
            let told = table(&Status { certificates: vec![certificate(left)], ..status(Vec::new()) });
            let line = "certificate of secure for a.example, *.a.example (ECDSA)";
            let line = format!("\n{line} {expected}, 2026-03-01T00:00:00Z: tls/a.pem\n");
            assert!(told.ends_with(&line), "{told}");
        }
    }

    #[test]
    fn listeners_tell_what_they_have_to_do() {
        let listener = |serves: &str| ListenerStatus {
            name: "a".to_owned(),
            serves: serves.to_owned(),
            bind: vec!["0.0.0.0:1".to_owned(), "unix:a.sock".to_owned()],
            open: 3,
            refused: 2,
            dropped: 7,
            accepted: 9,
            errors: BTreeMap::new(),
            handshakes: None,
        };
        let listeners = vec![listener("tcp"), listener("udp")];
        let told = table(&Status { listeners, ..status(Vec::new()) });
        let lines = "listener a  tcp on 0.0.0.0:1, unix:a.sock, 3 connections, 2 refused\n\
                     listener a  udp on 0.0.0.0:1, unix:a.sock, 3 flows, 7 datagrams dropped\n";
        assert!(told.ends_with(lines), "{told}");
    }

    #[test]
    fn the_last_probe_is_told_if_it_failed() {
        let notes_of = |probes: serde_json::Value| {
            let probes = serde_json::from_value(probes).unwrap();
            notes(&EndpointStatus { probes, ..endpoint("10.0.0.1:80", State::Unfit) })
        };
        let probe = |passed: bool, reason: &str| serde_json::json!({ "at": "2026-01-01T00:00:00.000Z", "passed": passed, "took_ms": 1.5, "reason": reason });
        let (good, bad) = (probe(true, "200 OK"), probe(false, "it said \x1b[2J"));
        assert_eq!(notes_of(serde_json::json!([good, bad])), ["probe failed: it said \u{fffd}[2J"]);
        assert!(notes_of(serde_json::json!([bad, good])).is_empty());
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_told_on_top() {
        let pool = PoolStatus { panic: true, ..pool() };
        let told = table(&Status { draining: true, ..status(vec![pool]) });
        assert!(told.starts_with("evener 0.1.0, process 42, draining\n"), "{told}");
        assert!(told.contains("5 failures, PANIC: all serve that can be connected to\n"), "{told}");
    }
}
