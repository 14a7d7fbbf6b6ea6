use crate::config::spec::{AccessFormat, AccessSpec, RouteLogMap, RouteLogSpec, SampleSpec};
use crate::telemetry::Redaction;
use crate::telemetry::lines::{AccessLine, ConnectionLine, LogLine};

use super::form::Layout;

/// What a route, or a listener of layer 4, has its lines made like.
#[derive(Debug)]
pub(crate) struct OwnLines(Choice);

#[derive(Debug)]
enum Choice {
    Off,
    Own { sample: Option<SampleSpec>, layout: Option<Layout> },
}

impl OwnLines {
    /// For requests of a route.
    pub(crate) fn of_requests(spec: &RouteLogSpec, access: &AccessSpec) -> Self {
        Self::new::<AccessLine<'_>>(spec, access)
    }

    /// For connections or flows of a listener.
    pub(crate) fn of_connections(spec: &RouteLogSpec, access: &AccessSpec) -> Self {
        Self::new::<ConnectionLine<'_>>(spec, access)
    }

    fn new<L: LogLine>(spec: &RouteLogSpec, access: &AccessSpec) -> Self {
        let RouteLogSpec::Own(RouteLogMap { sample, fields }) = spec else { return Self(Choice::Off) };
        let layout = fields.as_ref().filter(|_| access.format == AccessFormat::Json).map(|fields| {
            let redaction = Redaction::new(&access.redact, access.client);
            Layout::new::<L>(access, Some(fields), &redaction)
        });
        Self(Choice::Own { sample: *sample, layout })
    }

    pub(super) fn is_off(&self) -> bool {
        matches!(self.0, Choice::Off)
    }

    pub(super) fn sample(&self) -> Option<SampleSpec> {
        match &self.0 {
            Choice::Off => None,
            Choice::Own { sample, .. } => *sample,
        }
    }

    pub(super) fn layout(&self) -> Option<&Layout> {
        match &self.0 {
            Choice::Off => None,
            Choice::Own { layout, .. } => layout.as_ref(),
        }
    }
}
