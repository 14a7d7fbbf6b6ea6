use std::collections::BTreeMap;

use super::words::Work;
use crate::support::spread::Spread;

/// The values of one peer in one row, by round, or one alone for what is measured once.
type Series<R> = BTreeMap<(R, <R as Work>::Peer, <R as Work>::Metric), Vec<f64>>;

/// All values of all peers in all rows.
#[derive(Debug)]
pub(crate) struct Figures<R: Work> {
    series: Series<R>,
}

impl<R: Work> Default for Figures<R> {
    fn default() -> Self {
        Self { series: BTreeMap::new() }
    }
}

impl<R: Work> Figures<R> {
    pub(crate) fn add(&mut self, row: R, peer: R::Peer, metric: R::Metric, value: f64) {
        self.series.entry((row, peer, metric)).or_default().push(value);
    }

    pub(crate) fn values(&self, row: R, peer: R::Peer, metric: R::Metric) -> &[f64] {
        self.series.get(&(row, peer, metric)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn spread(&self, row: R, peer: R::Peer, metric: R::Metric) -> Option<Spread> {
        Spread::of(self.values(row, peer, metric))
    }

    /// The spread of `peer` divided by `reference`, round by round: what slows a whole round down falls out.
    pub(crate) fn ratio(
        &self,
        row: R,
        peer: R::Peer,
        reference: R::Peer,
        metric: R::Metric,
    ) -> Option<Spread> {
        let pairs = self.values(row, peer, metric).iter().zip(self.values(row, reference, metric));
        let ratios: Vec<f64> =
            pairs.map(|(value, base)| value / base).filter(|ratio| ratio.is_finite()).collect();
        Spread::of(&ratios)
    }
}
