use std::fmt::Debug;

use serde::Serialize;

/// One of the proxies that are compared.
pub(crate) trait Compared: Copy + Debug + Ord + 'static {
    fn name(self) -> &'static str;
}

/// One thing that is measured. The order is the order of the table.
pub(crate) trait Measured: Copy + Debug + Ord + Serialize + 'static {
    /// What the table calls it, where `unit` is what is counted.
    fn label(self, unit: &str) -> String;

    /// How many digits after the point say something.
    fn digits(self) -> usize;
}

/// One kind of work that proxies are compared by. The order is that of the report.
pub(crate) trait Work: Copy + Debug + Ord + Serialize {
    type Peer: Compared;
    type Metric: Measured;

    fn title(self) -> &'static str;

    /// What is counted.
    fn unit(self) -> &'static str;

    /// What is measured, in the order of the table.
    fn metrics(self) -> &'static [Self::Metric];

    /// Whether `peer` can do this work.
    fn is_for(self, peer: Self::Peer) -> bool;
}
