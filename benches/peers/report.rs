use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use serde::Serialize;

use crate::{
    bars::Bar,
    figures::{Figures, Metric},
    load,
    options::Options,
    peer::Peer,
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
    peers: Vec<Entry>,
    bars: Vec<Bar>,
}

/// One peer of the report.
#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    version: String,
    figures: BTreeMap<Metric, Spread>,
    /// By reference: this peer divided by it.
    ratios: BTreeMap<&'static str, BTreeMap<Metric, Spread>>,
    rounds: BTreeMap<Metric, Vec<f64>>,
}

impl Report {
    pub(crate) fn new(options: &Options, versions: Vec<(Peer, String)>, figures: &Figures) -> Self {
        let peers = versions.into_iter().map(|(peer, version)| Entry::new(peer, version, figures)).collect();
        Self {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            machine: Machine::this(),
            rounds: options.rounds,
            seconds: options.seconds,
            placement: options.placement,
            peers,
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
        let mut text = self.heading();
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
        let bars: Vec<String> = self.bars.iter().map(Bar::line).collect();
        text + &bars.join("\n") + "\n"
    }

    fn heading(&self) -> String {
        let Machine { cpu, cores, kernel } = &self.machine;
        let mut text = format!("\n{}  {cpu}, {cores} cores, Linux {kernel}\n", self.date);
        text.push_str(&format!(
            "{} rounds of {} s, wrk with 1 thread and {} connections; one worker each, access logs off; {}\n",
            self.rounds,
            self.seconds,
            load::CONNECTIONS,
            self.placement.describe()
        ));
        for entry in &self.peers {
            text.push_str(&format!("  {}: {}\n", entry.name, entry.version));
        }
        text
    }

    fn table(&self, title: &str, value: impl Fn(&Entry, Metric) -> Option<String>) -> String {
        let mut text = format!("\n{title:<LABEL_WIDTH$}");
        for entry in &self.peers {
            text.push_str(&format!("{:>COLUMN_WIDTH$}", entry.name));
        }
        text.push('\n');
        for metric in Metric::ALL {
            text.push_str(&format!("{:<LABEL_WIDTH$}", metric.label()));
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
    fn new(peer: Peer, version: String, figures: &Figures) -> Self {
        let by_metric = |of: &dyn Fn(Metric) -> Option<Spread>| -> BTreeMap<Metric, Spread> {
            Metric::ALL.into_iter().filter_map(|metric| Some((metric, of(metric)?))).collect()
        };
        let ratios = REFERENCES
            .into_iter()
            .map(|reference| (reference.name(), by_metric(&|metric| figures.ratio(peer, reference, metric))));
        Self {
            name: peer.name(),
            version,
            figures: by_metric(&|metric| figures.spread(peer, metric)),
            ratios: ratios.filter(|(_, ratios)| !ratios.is_empty()).collect(),
            rounds: Metric::ALL.map(|metric| (metric, figures.values(peer, metric).to_vec())).into(),
        }
    }
}

fn digits(metric: Metric) -> usize {
    match metric {
        Metric::Rate | Metric::P50 | Metric::P99 => 0,
        _ => 1,
    }
}
