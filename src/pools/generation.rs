use std::sync::Arc;

use crate::config;
use crate::hooks::{Member, Policy};
use crate::types::{EndpointAddr, Random, ZoneName};

use super::peer::{PeerTls, server_name};
use super::sticky::Sticky;

/// Builds a policy for a set of members; called whenever the set or a weight changes.
pub(crate) type PolicyFactory = Box<dyn Fn(&[Member], &mut Random) -> Box<dyn Policy> + Send + Sync>;

/// What one configuration makes of a pool; it never changes.
///
/// Each of its endpoints holds it. So whoever has a lease speaks to the endpoint as the configuration of the lease has
/// it, which may be a newer one than that of the request.
pub(super) struct Generation {
    pub(super) config: config::Pool,
    /// There is one if the configuration has TLS.
    pub(super) tls: Option<PeerTls>,
    pub(super) own_zone: Option<ZoneName>,
    pub(super) new_policy: PolicyFactory,
    pub(super) sticky: Option<Sticky>,
}

impl Generation {
    /// TLS towards the endpoints, as it is configured and with what its files held.
    pub(super) fn tls(&self) -> Option<(&config::UpstreamTls, &PeerTls)> {
        self.config.tls.as_ref().zip(self.tls.as_ref())
    }

    /// How TLS is begun with an endpoint, and the name that its certificate has to hold; `None` where none is spoken.
    pub(super) fn tls_client(&self, address: &EndpointAddr) -> Option<(&Arc<rustls::ClientConfig>, String)> {
        let (config, tls) = self.tls()?;
        Some((tls.client(), server_name(config, address)))
    }
}
