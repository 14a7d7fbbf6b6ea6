use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, HandshakeKind};

use super::Load;
use crate::{
    cost::{connect::source, crowd},
    peer::Proxy,
    site::Site,
    support::Outcome,
    tls::{
        client::{self, Exchange},
        shake::shake,
        tickets::Tickets,
    },
};

/// Clients that shake hands at the same time, each from a thread of its own.
pub(crate) const CLIENTS: u8 = 8;

/// One client: it connects, shakes hands, takes tickets, says goodbye, and begins again. It makes no requests.
struct Client<'a> {
    proxy: &'a Proxy,
    config: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
    number: u8,
}

/// Loads `proxy` with handshakes that go on with the session of the one before, or with none.
///
/// # Errors
/// When a connection fails, or does what it should not: resume a session or not.
pub(crate) fn run(
    site: &Site,
    proxy: &Proxy,
    exchange: Exchange,
    kind: HandshakeKind,
    seconds: u32,
) -> Outcome<Load> {
    let clients = (0..CLIENTS).map(|number| {
        let tickets = Arc::new(Tickets::new(kind == HandshakeKind::Resumed));
        let config = client::config(&site.certificate, exchange, client::HTTP1, tickets.clone())?;
        Ok(Client { proxy, config, tickets, number })
    });
    let clients = clients.collect::<Outcome<Vec<_>>>()?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds.into());
    let done = crowd::sum(&clients, |client| client.shake_until(end, kind))? as f64;
    Ok(Load { done, rate: done / begin.elapsed().as_secs_f64(), latency: None })
}

impl Client<'_> {
    /// Returns how many handshakes there were. Where sessions are resumed the first one has none to go on with: it counts
    /// as well, one among thousands.
    fn shake_until(&self, end: Instant, kind: HandshakeKind) -> Result<u64, String> {
        let mut count = 0;
        while Instant::now() < end {
            let source = source(self.number, count);
            let shaken = shake(source, self.proxy.address, &self.config, &self.tickets)
                .map_err(|error| format!("handshake {count}: {error}"))?;
            if shaken.kind != kind && count > 0 {
                return Err(format!("handshake {count} was {:?}, not {kind:?}", shaken.kind));
            }
            count += 1;
        }
        Ok(count)
    }
}
