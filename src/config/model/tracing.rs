use std::path::PathBuf;

use http::{HeaderName, HeaderValue};

use crate::config::KeyPath;
use crate::config::spec::TraceTrust;
use crate::types::{HttpUrl, Share, Span};

/// Where spans of requests go, and of which requests.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// The traces that are recorded of those that begin here.
    pub sample: Share,
    /// Whose word on traces counts.
    pub trust: TraceTrust,
    /// Who takes the spans.
    pub collector: Collector,
    /// The place in the file, for errors of files.
    pub at: KeyPath,
}

/// Who takes the spans, and how they are sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its URL.
    pub to: HttpUrl,
    /// The authorities that may vouch for it, as PEM; `None` for those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// Headers for it, which no message shows.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The name of the service that the spans are of.
    pub service: String,
    /// What else is told of the process.
    pub resource: Vec<(String, String)>,
    /// How long it has to take spans.
    pub timeout: Span,
    /// How long spans are gathered.
    pub every: Span,
    /// How many spans wait.
    pub max_queue: usize,
}
