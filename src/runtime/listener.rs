use crate::config;
use crate::config::spec::{HttpVersion, Limits};
use crate::types::{BindAddr, ListenerName};

/// A listener as connections see it.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Its place in the configuration, by which routes name it.
    pub(crate) index: usize,
    pub(crate) name: ListenerName,
    pub(crate) binds: Vec<BindAddr>,
    pub(crate) limits: Limits,
    pub(crate) h2_streams: u32,
    versions: Vec<HttpVersion>,
}

impl Listener {
    pub(crate) fn new(index: usize, config: &config::Listener) -> Self {
        Self {
            index,
            name: config.name.clone(),
            binds: config.binds.clone(),
            limits: config.limits.clone(),
            h2_streams: config.http.h2_streams,
            versions: config.http.versions.clone(),
        }
    }

    pub(crate) fn serves(&self, version: HttpVersion) -> bool {
        self.versions.contains(&version)
    }

    /// The longest request line: a quarter of the header, 8 KiB with the defaults.
    pub(crate) fn max_request_line(&self) -> usize {
        self.limits.header.size.as_usize() / 4
    }
}
