//! Counts of all that goes on, as Prometheus reads them.
//!
//! Nothing is counted here: requests count at their route, pools and endpoints at themselves, and a scrape reads what is
//! there. So series come and go with the configuration, and none has a label that a client can make up.

mod collect;
mod families;
mod pools;
mod process;
mod writer;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{prometheus_protobuf, text};
use prometheus_client::registry::Registry;

use crate::runtime::Control;

/// What can be scraped.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
}

/// Where the counts are.
struct Scraped {
    control: Arc<Control>,
}

/// In which form counts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// OpenMetrics 1.0: classic histograms.
    Text,
    /// Prometheus' own, which has native histograms too.
    Protobuf,
}

impl Metrics {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scraped { control }));
        Self { registry }
    }

    /// All counts as they are. Takes a moment where there are many endpoints.
    ///
    /// # Errors
    /// When the library cannot write them, which would be an error in here.
    pub(crate) fn expose(&self, exposition: Exposition) -> Result<Vec<u8>, fmt::Error> {
        match exposition {
            Exposition::Text => {
                let mut text = String::new();
                text::encode(&mut text, &self.registry)?;
                Ok(text.into_bytes())
            }
            Exposition::Protobuf => {
                prometheus_protobuf::encode_to_vec(&self.registry).map_err(|_| fmt::Error)
            }
        }
    }
}

impl Exposition {
    /// What a scraper takes, by its `Accept`.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let is_protobuf = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("application/vnd.google.protobuf")
                && parts.any(|parameter| parameter == "proto=io.prometheus.client.MetricFamily")
        };
        match accept {
            Some(accept) if accept.split(',').any(is_protobuf) => Self::Protobuf,
            _ => Self::Text,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Text => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

impl fmt::Debug for Scraped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scraped")
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
