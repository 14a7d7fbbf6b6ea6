use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    compare::{
        comparison::Comparison,
        figures::Figures,
        memory::resident,
        words::{Compared, Work},
    },
    cpu,
    load::{Seen, steady},
    metric::Metric,
    options::Options,
    peer::Proxy,
    rows::Row,
    site::Site,
    support::{Outcome, turns::rotated},
};

const MIB: f64 = (1_u32 << 20) as f64;
/// Seconds of load that are not counted.
const WARM_UP: u32 = 1;
/// For a process to put away what the last request or the last configuration needed.
const SETTLE: Duration = Duration::from_secs(1);

/// Measures all peers and returns what was found.
pub(crate) fn measure(options: &Options, site: &Site) -> Outcome<Figures<Row>> {
    let peers = options.peers();
    let mut figures = Figures::default();
    for round in 0..options.common.rounds {
        for &peer in rotated(&peers, round) {
            let proxy = peer.start(options, site)?;
            let mut stage = Stage { options, proxy, figures: &mut figures };
            stage.measure().map_err(|error| format!("{}: {error}", peer.name()))?;
        }
    }
    Ok(figures)
}

struct Stage<'a> {
    options: &'a Options,
    proxy: Proxy<'a>,
    figures: &'a mut Figures<Row>,
}

impl Stage<'_> {
    fn measure(&mut self) -> Outcome<()> {
        steady(self.proxy.listen, WARM_UP, |_| Ok(()))?;
        thread::sleep(SETTLE);
        self.add_memory(Metric::MemoryBeforeMib)?;
        let quiet = steady(self.proxy.listen, self.options.common.seconds, |_| Ok(()))?;
        self.add_latencies(Row::Quiet, &quiet);
        self.measure_with_reloads()?;
        for change in Row::CHANGES {
            self.measure_changes(change)?;
        }
        Ok(())
    }

    fn measure_with_reloads(&mut self) -> Outcome<()> {
        let (listen, seconds) = (self.proxy.listen, self.options.common.seconds);
        let proxy = &mut self.proxy;
        let mut processes = 0;
        let seen = steady(listen, seconds, |start| {
            for second in 0..seconds {
                let due = start + Duration::from_secs(u64::from(second)) + Duration::from_millis(250);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                proxy.change(if second % 2 == 0 { Row::Route } else { Row::Pool })?;
            }
            processes = proxy.process.tree().len();
            Ok(())
        })?;
        self.add_latencies(Row::Reloads, &seen);
        self.add(Row::Reloads, Metric::Closed, f64::from(seen.mishaps.closed));
        self.add(Row::Reloads, Metric::Broken, f64::from(seen.mishaps.broken));
        self.add(Row::Reloads, Metric::Processes, processes as f64);
        self.proxy.rest()?;
        thread::sleep(SETTLE);
        self.add_memory(Metric::MemoryAfterMib)
    }

    fn measure_changes(&mut self, change: Row) -> Outcome<()> {
        let tree = || self.proxy.process.tree();
        let begin = cpu::used(&tree())?;
        let mut found = Vec::new();
        for _ in 0..self.options.reloads {
            found.push(self.proxy.change(change)?);
            self.proxy.rest()?;
        }
        let used = cpu::used(&self.proxy.process.tree())? - begin;
        let name = self.proxy.peer.name();
        let each = used / f64::from(self.options.reloads);
        for reload in &found {
            let millis = reload.took.as_secs_f64() * 1e3;
            eprintln!("{}: {name}: {millis:.1} ms", change.title());
            self.add(change, Metric::TimeMs, millis);
            if let Some(told) = reload.told {
                self.add(change, Metric::TookMs, told);
            }
        }
        self.add(change, Metric::CpuMs, each);
        Ok(())
    }

    fn add_memory(&mut self, metric: Metric) -> Outcome<()> {
        let bytes = resident(&self.proxy.process.tree())?;
        self.add(Row::Reloads, metric, bytes / MIB);
        Ok(())
    }

    fn add_latencies(&mut self, row: Row, seen: &Seen) {
        let quantiles =
            [(Metric::P50Ms, 0.5), (Metric::P99Ms, 0.99), (Metric::P999Ms, 0.999), (Metric::MaxMs, 1.0)];
        for (metric, part) in quantiles {
            self.add(row, metric, seen.quantile(part));
        }
        let (name, p99, max) = (self.proxy.peer.name(), seen.quantile(0.99), seen.quantile(1.0));
        eprintln!("{}: {name}: p99 {p99:.2} ms, maximum {max:.1} ms", row.title());
    }

    fn add(&mut self, row: Row, metric: Metric, value: f64) {
        self.figures.add(row, self.proxy.peer, metric, value);
    }
}
