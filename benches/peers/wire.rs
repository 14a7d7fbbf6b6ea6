use std::sync::Arc;

use rustls::ClientConfig;

/// What clients speak to a proxy: HTTP in the clear or over TLS.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    Plain,
    /// As these clients do.
    Tls(Arc<ClientConfig>),
}

impl Wire {
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls(_) => "https",
        }
    }
}
