use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    figures::Figures,
    words::{Compared, Measured, Work},
};
use crate::support::spread::Spread;

const LABEL_WIDTH: usize = 27;
const COLUMN_WIDTH: usize = 25;

/// One row with all peers that can do its work.
#[derive(Debug, Serialize)]
pub(super) struct Section<R: Work> {
    row: R,
    peers: Vec<Entry<R::Metric>>,
    /// The peers that the others are divided by.
    #[serde(skip)]
    references: Vec<&'static str>,
}

/// One peer of a section.
#[derive(Debug, Serialize)]
struct Entry<M: Measured> {
    name: &'static str,
    figures: BTreeMap<M, Spread>,
    /// By reference: this peer divided by it.
    ratios: BTreeMap<&'static str, BTreeMap<M, Spread>>,
    rounds: BTreeMap<M, Vec<f64>>,
}

impl<R: Work> Section<R> {
    pub(super) fn new(row: R, peers: &[R::Peer], references: &[R::Peer], figures: &Figures<R>) -> Self {
        let able: Vec<R::Peer> = peers.iter().copied().filter(|&peer| row.is_for(peer)).collect();
        let references: Vec<R::Peer> =
            references.iter().copied().filter(|reference| able.contains(reference)).collect();
        let entry = |&peer: &R::Peer| Entry::new(row, peer, &references, figures);
        Self {
            row,
            peers: able.iter().map(entry).collect(),
            references: references.iter().map(|reference| reference.name()).collect(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("\n{}\n", self.row.title());
        text.push_str(&self.table("median (lowest–highest)", |entry, metric| {
            entry.figures.get(&metric).map(|spread| spread.text(metric.digits()))
        }));
        for reference in &self.references {
            let title = format!("times {reference}");
            text.push_str(&self.table(&title, |entry, metric| {
                entry.ratios.get(reference)?.get(&metric).map(|spread| spread.text(2))
            }));
        }
        text
    }

    fn table(&self, title: &str, value: impl Fn(&Entry<R::Metric>, R::Metric) -> Option<String>) -> String {
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

impl<M: Measured> Entry<M> {
    fn new<R: Work<Metric = M>>(row: R, peer: R::Peer, references: &[R::Peer], figures: &Figures<R>) -> Self {
        let by_metric = |of: &dyn Fn(M) -> Option<Spread>| -> BTreeMap<M, Spread> {
            row.metrics().iter().filter_map(|&metric| Some((metric, of(metric)?))).collect()
        };
        let ratios = references.iter().map(|&reference| {
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
