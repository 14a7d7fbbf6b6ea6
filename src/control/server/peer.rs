//! Who may ask: whoever runs the process, and root.

use rustix::process::geteuid;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::runtime::{Actor, Audit, Control, Deed};

use super::connection::Failure;

/// The user behind a connection, if it may ask. That somebody else has tried is noted.
pub(super) fn admitted(stream: &UnixStream, control: &Control) -> Result<u32, Failure> {
    admit(stream.peer_cred()?.uid(), geteuid().as_raw(), control.changes().audit())
}

fn admit(peer: u32, own: u32, audit: &Audit) -> Result<u32, Failure> {
    if may_ask(peer, own) {
        return Ok(peer);
    }
    let stranger = Failure::Stranger(peer);
    audit.record(&Actor::user(peer), Deed::denied(&stranger), Instant::now());
    Err(stranger)
}

/// The socket's mode says the same, but a socket may be passed on, or its mode be changed.
fn may_ask(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::DeedResult;

    #[test]
    fn an_attempt_of_somebody_else_is_noted() {
        let audit = Audit::default();
        assert!(admit(0, 1000, &audit).is_ok() && admit(1000, 1000, &audit).is_ok());
        assert!(matches!(admit(1001, 1000, &audit), Err(Failure::Stranger(1001))));
        let [noted] = &audit.recent()[..] else { panic!("one entry") };
        assert_eq!(
            (&*noted.who, &*noted.from, noted.result),
            ("uid 1001", "control socket", DeedResult::Denied)
        );
    }

    #[test]
    fn only_root_and_the_own_user_may_ask() {
        assert!(may_ask(0, 1000) && may_ask(1000, 1000) && may_ask(0, 0));
        assert!(!may_ask(1000, 0) && !may_ask(1001, 1000));
    }
}
