use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::BuildError;
use crate::types::{ByteSize, Percent, Span};

/// Sends copies of requests to another pool, and drops its answers. Clients and endpoints see nothing of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorSettings {
    /// The pool that gets the copies.
    pub pool: String,
    /// Of how many requests there are copies, up to 100%. Default: `100%`.
    #[serde(default)]
    pub percent: Option<Percent>,
    /// Of requests of which methods. All but GET, HEAD and OPTIONS change something, and would change it twice where both
    /// pools work on the same data. Default: GET and HEAD.
    #[serde(default)]
    pub methods: Option<Vec<MirrorMethod>>,
    /// There are no copies of requests with larger bodies, up to 1MiB. Default: 64KiB.
    #[serde(default)]
    pub max_body: Option<ByteSize>,
    /// How many copies are under way at once, 1 to 10000, counted from the head of the request; of requests beyond there
    /// are none. Default: 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    pub in_flight: Option<u32>,
    /// How long an answer is waited for, 100ms to 1m. Default: 5s.
    #[serde(default)]
    pub timeout: Option<Span>,
}

/// A method of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words of RFC 9110 and RFC 5789")]
pub enum MirrorMethod {
    Get,
    Head,
    Options,
    Post,
    Put,
    Patch,
    Delete,
}

const MAX_BODY: usize = 64 << 10;
const LARGEST_BODY: usize = 1 << 20;
const IN_FLIGHT: u32 = 100;
const MOST_IN_FLIGHT: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(5);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

impl MirrorSettings {
    /// How many of a hundred requests.
    pub(super) fn checked_percent(&self) -> Result<u16, BuildError> {
        match self.percent.map_or(100, Percent::get) {
            percent @ 1..=100 => Ok(percent),
            percent => {
                let error = BuildError::new(format!("`{percent}%`; 1% to 100% are allowed")).at("percent");
                Err(error.with_help("leave the filter out where nothing is to be copied"))
            }
        }
    }

    pub(super) fn checked_methods(&self) -> Result<Vec<Method>, BuildError> {
        let Some(methods) = &self.methods else { return Ok(vec![Method::GET, Method::HEAD]) };
        if methods.is_empty() {
            return Err(BuildError::new("no method is copied").at("methods"));
        }
        Ok(methods.iter().map(|method| method.get()).collect())
    }

    pub(super) fn checked_max_body(&self) -> Result<usize, BuildError> {
        match self.max_body {
            None => Ok(MAX_BODY),
            Some(size) if size.as_usize() <= LARGEST_BODY => Ok(size.as_usize()),
            Some(size) => {
                Err(BuildError::new(format!("bodies of {size}; up to 1MiB is allowed")).at("max_body"))
            }
        }
    }

    pub(super) fn checked_in_flight(&self) -> Result<usize, BuildError> {
        match self.in_flight.unwrap_or(IN_FLIGHT) {
            count @ 1..=MOST_IN_FLIGHT => Ok(count as usize),
            count => Err(BuildError::new(format!("{count} copies; 1 to 10000 are allowed")).at("in_flight")),
        }
    }

    pub(super) fn checked_timeout(&self) -> Result<Duration, BuildError> {
        match self.timeout {
            None => Ok(TIMEOUT),
            Some(span) if (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&span.get()) => Ok(span.get()),
            Some(span) => {
                let error = BuildError::new(format!("a timeout of `{span}`; 100ms to 1m are allowed"));
                Err(error.at("timeout"))
            }
        }
    }
}

impl MirrorMethod {
    fn get(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Options => Method::OPTIONS,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}
