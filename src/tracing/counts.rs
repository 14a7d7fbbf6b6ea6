use crate::types::Counter;

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct ExportCounts {
    /// Spans that the collector has taken.
    pub(crate) exported: Counter,
    /// Spans that it did not get or did not take.
    pub(crate) dropped: Counter,
    /// How often the collector was asked in vain.
    pub(crate) failures: Counter,
}
