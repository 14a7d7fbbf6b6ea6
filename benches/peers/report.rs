use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use serde::Serialize;

use crate::{
    bars::Bar,
    figures::{Figures, Metric},
    load::{handshakes, wrk},
    options::Options,
    peer::Peer,
    rows::Row,
    support::{Outcome, machine::Machine, placement::Placement, spread::Spread},
};

/// Peers that the others are divided by.
const REFERENCES: [Peer; 2] = [Peer::Nginx, Peer::Bare];
const LABEL_WIDTH: usize = 27;
const COLUMN_WIDTH: usize = 25;

/// All that a run found, as it goes to the JSON file.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    date: String,
    machine: Machine,
    rounds: u32,
    seconds: u32,
    placement: Placement,
    versions: BTreeMap<&'static str, String>,
    rows: Vec<Section>,
    bars: Vec<Bar>,
}

/// One row with all peers that can do its work.
#[derive(Debug, Serialize)]
struct Section {
    row: Row,
    peers: Vec<Entry>,
}

/// One peer of a section.
#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    figures: BTreeMap<Metric, Spread>,
    /// By reference: this peer divided by it.
    ratios: BTreeMap<&'static str, BTreeMap<Metric, Spread>>,
    rounds: BTreeMap<Metric, Vec<f64>>,
}

impl Report {
    pub(crate) fn new(options: &Options, versions: &[(Peer, String)], figures: &Figures) -> Self {
        let peers: Vec<Peer> = versions.iter().map(|(peer, _)| *peer).collect();
        Self {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            machine: Machine::this(),
            rounds: options.rounds,
            seconds: options.seconds,
            placement: options.placement,
            versions: versions.iter().map(|(peer, version)| (peer.name(), version.clone())).collect(),
            rows: options.rows().into_iter().map(|row| Section::new(row, &peers, figures)).collect(),
            bars: Bar::all(figures),
        }
    }

    pub(crate) fn bars(&self) -> &[Bar] {
        &self.bars
    }

    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n")
            .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
    }

    /// The whole report for people to read.
    pub(crate) fn text(&self) -> String {
        let sections: String = self.rows.iter().map(Section::text).collect();
        let bars: Vec<String> = self.bars.iter().map(Bar::line).collect();
        self.heading() + &sections + &bars.join("\n") + "\n"
    }

    fn heading(&self) -> String {
        let Machine { cpu, cores, kernel } = &self.machine;
        let mut text = format!("\n{}  {cpu}, {cores} cores, Linux {kernel}\n", self.date);
        text.push_str(&format!(
            "{} rounds of {} s; HTTP/1.1: wrk with 1 thread and {} connections; HTTP/2: h2load with 1 thread; \
             handshakes: {} clients; one worker each, access logs off; {}\n",
            self.rounds,
            self.seconds,
            wrk::CONNECTIONS,
            handshakes::CLIENTS,
            self.placement.describe()
        ));
        for (name, version) in &self.versions {
            text.push_str(&format!("  {name}: {version}\n"));
        }
        text
    }
}

impl Section {
    fn new(row: Row, peers: &[Peer], figures: &Figures) -> Self {
        let peers = peers.iter().filter(|&&peer| row.is_for(peer));
        Self { row, peers: peers.map(|&peer| Entry::new(row, peer, figures)).collect() }
    }

    fn text(&self) -> String {
        let mut text = format!("\n{}\n", self.row.title());
        text.push_str(&self.table("median (lowest–highest)", |entry, metric| {
            entry.figures.get(&metric).map(|spread| spread.text(digits(metric)))
        }));
        for reference in REFERENCES.map(Peer::name) {
            if self.peers.iter().any(|entry| entry.name == reference) {
                let title = format!("times {reference}");
                text.push_str(&self.table(&title, |entry, metric| {
                    entry.ratios.get(reference)?.get(&metric).map(|spread| spread.text(2))
                }));
            }
        }
        text
    }

    fn table(&self, title: &str, value: impl Fn(&Entry, Metric) -> Option<String>) -> String {
        let mut text = format!("{title:<LABEL_WIDTH$}");
        for entry in &self.peers {
            text.push_str(&format!("{:>COLUMN_WIDTH$}", entry.name));
        }
        text.push('\n');
        for &metric in self.row.metrics() {
            text.push_str(&format!("{:<LABEL_WIDTH$}", metric.label(self.row.unit())));
            for entry in &self.peers {
                let value = value(entry, metric).unwrap_or_else(|| "–".to_owned());
                text.push_str(&format!("{value:>COLUMN_WIDTH$}"));
            }
            text.push('\n');
        }
        text.push('\n');
        text
    }
}

impl Entry {
    fn new(row: Row, peer: Peer, figures: &Figures) -> Self {
        let by_metric = |of: &dyn Fn(Metric) -> Option<Spread>| -> BTreeMap<Metric, Spread> {
            row.metrics().iter().filter_map(|&metric| Some((metric, of(metric)?))).collect()
        };
        let ratios = REFERENCES.into_iter().map(|reference| {
            (reference.name(), by_metric(&|metric| figures.ratio(row, peer, reference, metric)))
        });
        let rounds = row.metrics().iter().map(|&metric| (metric, figures.values(row, peer, metric).to_vec()));
        Self {
            name: peer.name(),
            figures: by_metric(&|metric| figures.spread(row, peer, metric)),
            ratios: ratios.filter(|(_, ratios)| !ratios.is_empty()).collect(),
            rounds: rounds.collect(),
        }
    }
}

fn digits(metric: Metric) -> usize {
    match metric {
        Metric::Rate | Metric::P50 | Metric::P99 => 0,
        _ => 1,
    }
}
