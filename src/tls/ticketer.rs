use std::sync::Arc;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use rustls::server::ProducesTickets;

use super::client_auth::PolicyId;
use super::tickets::{NAME, Ring};

/// Seals sessions into tickets, and opens them, for connections under one policy.
///
/// A ticket is the name of its key, a nonce, and, sealed with AES-256-GCM, when it was made and the session. The
/// policy is authenticated with it: a ticket from another policy does not open, so that no session gets around what
/// clients have to prove, and other authorities end all sessions that the former ones let in.
#[derive(Debug)]
pub(super) struct Ticketer {
    ring: Arc<Ring>,
    policy: PolicyId,
    opening: Opening,
}

/// Whether tickets are opened; sealed they are in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Allowed,
    Refused,
}

/// The session of a client with a long chain of certificates makes no ticket; each would travel in every handshake.
const LONGEST_SESSION: usize = 8 * 1024;

impl Ticketer {
    pub(super) fn new(ring: Arc<Ring>, policy: PolicyId, opening: Opening) -> Self {
        Self { ring, policy, opening }
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = self.ring.opening(name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.cipher.open_in_place(nonce, Aad::from(self.policy.as_bytes()), &mut sealed).ok()?;
        let (made, session) = opened.split_first_chunk()?;
        let is_young = self.ring.now().abs_diff(u64::from_be_bytes(*made)) < self.ring.lifetime();
        is_young.then(|| session.to_vec())
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.ring.lifetime()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if session.len() > LONGEST_SESSION {
            return None;
        }
        let key = self.ring.sealing()?;
        let mut sealed = self.ring.now().to_be_bytes().to_vec();
        sealed.extend(session);
        let aad = Aad::from(self.policy.as_bytes());
        let nonce = key.cipher.seal_in_place_append_tag(aad, &mut sealed).ok()?;
        Some([&key.name[..], nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        (self.opening == Opening::Allowed).then(|| self.open(ticket)).flatten()
    }
}
