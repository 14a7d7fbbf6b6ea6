use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::ListenerTls;
use crate::config::spec::HttpVersion;

use super::certificate::CertificateInfo;
use super::client_auth::PolicyId;
use super::handshake::{self, Accepted};
use super::reload::{Change, Reloaded, changes};
use super::state::{self, State};
use super::tickets::{Ring, TicketKeys};
use super::{Clock, HandshakeError, Problem};

/// TLS of one listener. What it has read of its files can be replaced as a whole at run time; connections that are
/// there stay as they are.
#[derive(Debug)]
pub(crate) struct Termination {
    config: ListenerTls,
    surroundings: Surroundings,
    state: ArcSwap<State>,
}

/// What a listener's TLS needs beside its own configuration.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The versions of HTTP that ALPN offers.
    pub(super) http: Vec<HttpVersion>,
    /// `None` when there are no tickets.
    pub(super) tickets: Option<Arc<Ring>>,
    pub(super) clock: Clock,
}

impl Termination {
    /// Reads and checks every file; warnings come beside.
    ///
    /// # Errors
    /// All problems at once, warnings among them, when one of them is an error.
    pub(crate) fn load(
        config: &ListenerTls,
        http: &[HttpVersion],
        keys: &TicketKeys,
        clock: &Clock,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let tickets = keys.ring(config.rotate_tickets.get());
        let surroundings = Surroundings { http: http.to_vec(), tickets, clock: clock.clone() };
        let (state, warnings) = State::read(config, &surroundings, None)?;
        Ok((Self { config: config.clone(), surroundings, state: ArcSwap::from_pointee(state) }, warnings))
    }

    /// Reads the files again and takes them over, for the connections to come.
    ///
    /// # Errors
    /// As [`load`](Self::load); what was read before stays then.
    pub(crate) fn reload(&self) -> Result<Reloaded, Vec<Problem>> {
        let former = self.state.load_full();
        let (state, warnings) = State::read(&self.config, &self.surroundings, Some(&former))?;
        let state = Arc::new(state);
        self.state.store(state.clone());
        Ok(Reloaded { changes: changes(&former, &state), warnings })
    }

    /// What differs in files that both stand on.
    pub(crate) fn changes_since(&self, former: &Self) -> Vec<Change> {
        changes(&former.state.load(), &self.state.load())
    }

    /// The files that it stands on, for whoever watches them.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        state::files(&self.config)
    }

    /// The certificates in the order of the configuration.
    pub(crate) fn certificates(&self) -> Vec<CertificateInfo> {
        self.state.load().certificates.iter().map(super::certificate::Certificate::info).collect()
    }

    /// Shakes hands with a client. The caller keeps the deadline.
    ///
    /// # Errors
    /// When there is no connection; the client has got its alert then.
    pub(crate) async fn accept<S>(&self, stream: S) -> Result<Accepted<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // Files that are taken over meanwhile do not mix with what the handshake began with.
        let state = self.state.load_full();
        handshake::accept(&state, stream).await
    }

    /// Whether a request for `host`, in lower case and without a port, may be served on a connection whose client had to
    /// prove what `policy` says: no, if the host asks for something else, by now or always. Its answer is 421.
    pub(crate) fn serves(&self, host: &str, policy: PolicyId) -> bool {
        self.state.load().policies.of(Some(host)).id == policy
    }
}

#[cfg(test)]
impl Termination {
    /// Whether the first certificate comes with an OCSP response.
    pub(super) fn staples(&self) -> bool {
        self.state.load().certificates[0].shown.ocsp.is_some()
    }
}
