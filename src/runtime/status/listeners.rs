use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::runtime::{HandshakeEnd, Listener, ListenerCounts};

use super::named;

/// A listener at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ListenerStatus {
    pub(crate) name: String,
    /// `http`, `tcp` or `udp`.
    pub(crate) serves: String,
    /// Where it accepts, as the configuration has it.
    pub(crate) bind: Vec<String>,
    /// Open connections, or flows of datagrams.
    pub(crate) open: usize,
    /// Connections that were closed at once since the start, because a limit was reached.
    pub(crate) refused: u64,
    /// Datagrams that went nowhere since the start.
    pub(crate) dropped: u64,
    /// Connections that were accepted since the start, or flows that began.
    #[serde(default)]
    pub(crate) accepted: u64,
    /// What was refused since the start before it was a request, by cause, in the words of the access log.
    #[serde(default)]
    pub(crate) errors: BTreeMap<String, u64>,
    /// TLS handshakes since the start by how they ended, `full`, `resumed`, `failed` or `timed_out`; none where no TLS is
    /// spoken.
    #[serde(default)]
    pub(crate) handshakes: Option<BTreeMap<String, u64>>,
}

impl ListenerStatus {
    pub(in crate::runtime) fn of(listener: &Listener) -> Self {
        let ListenerCounts { open, refused, dropped } = listener.counts();
        Self {
            name: listener.name.to_string(),
            serves: listener.serves_as().to_owned(),
            bind: listener.binds.iter().map(ToString::to_string).collect(),
            open,
            refused,
            dropped,
            accepted: listener.stats.accepted(),
            errors: named(listener.stats.refused.iter()),
            handshakes: listener.tls.is_some().then(|| {
                let ended = listener.stats.handshakes();
                named(HandshakeEnd::NAMES.into_iter().zip(ended))
            }),
        }
    }
}
