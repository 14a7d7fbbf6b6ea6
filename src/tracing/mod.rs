//! Spans of requests for OpenTelemetry: which requests are recorded, and how their spans get to the collector.
//!
//! The gateway makes the spans when a request has ended, of what was recorded of it; here they wait, in a queue that is
//! bounded, for a thread of their own that sends them. No request waits for the collector.

mod collector;
mod counts;
mod exporter;
mod queue;
mod sampler;
mod sender;
mod span;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use tokio::time::Instant;

use crate::config::spec::TraceTrust;
use crate::telemetry::{SpanId, TraceContext, TraceId};
use crate::types::{Random, Share};

pub(crate) use collector::Collector;
pub(crate) use counts::ExportCounts;
pub(crate) use exporter::Exporter;
use sampler::Sampler;
pub(crate) use span::{Attributes, Kind, SpanClock, SpanParts, span};

/// The OTLP form of a span.
pub(crate) use opentelemetry_proto::tonic::trace::v1::Span;

/// What one configuration says of traces.
#[derive(Debug)]
pub(crate) struct Tracing {
    sampler: Sampler,
    trust: TraceTrust,
    collector: Arc<Collector>,
    exporter: Arc<Exporter>,
}

/// Where a request stands in its trace here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    /// What endpoints are told. Where the request is recorded or begins a trace, it names the span of the request here, else
    /// the span that it came from.
    pub(crate) context: TraceContext,
    /// The span that it came from.
    pub(crate) parent: Option<SpanId>,
    pub(crate) is_recorded: bool,
}

impl Traced {
    /// The span of the request here, if it is recorded.
    pub(crate) fn span(&self) -> Option<SpanId> {
        self.is_recorded.then_some(self.context.span_id)
    }
}

impl Tracing {
    pub(crate) fn new(
        sample: Share,
        trust: TraceTrust,
        collector: Arc<Collector>,
        exporter: Arc<Exporter>,
    ) -> Self {
        Self { sampler: Sampler::new(sample), trust, collector, exporter }
    }

    /// Whether what a client says of traces counts.
    pub(crate) fn believes(&self, is_trusted_proxy: bool) -> bool {
        is_trusted_proxy || self.trust == TraceTrust::Anybody
    }

    /// Takes a request into the trace that it is of, or else into a new one. A trace is recorded as a whole or not at all, as
    /// whoever began it has decided.
    pub(crate) fn take(&self, found: Option<TraceContext>, random: &mut Random) -> Traced {
        match found {
            Some(context) if context.is_sampled() => {
                let parent = Some(context.span_id);
                Traced { context: context.in_span(SpanId::random(random)), parent, is_recorded: true }
            }
            // A span that nobody knows of would be the end of the way to its parent.
            Some(context) => Traced { context, parent: None, is_recorded: false },
            None => {
                let trace_id = TraceId::random(random);
                let is_recorded = self.sampler.takes(trace_id);
                let context = TraceContext::root(trace_id, SpanId::random(random), is_recorded);
                Traced { context, parent: None, is_recorded }
            }
        }
    }

    /// Hands over the spans of a request, which are dropped and counted if there is no room for them.
    pub(crate) fn export(&self, spans: Vec<Span>, now: Instant) {
        self.exporter.export(&self.collector, spans, now);
    }

    pub(crate) fn exporter(&self) -> &Exporter {
        &self.exporter
    }
}

#[cfg(test)]
mod tests;
