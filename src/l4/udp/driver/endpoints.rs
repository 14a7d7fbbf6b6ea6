use nix::errno::Errno;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::l4::udp::discards::Discard;
use crate::l4::udp::flows::FlowId;
use crate::l4::udp::io::BATCH;

use super::{Driver, Round};

/// What endpoints send.
impl Driver {
    pub(super) fn serve_endpoints(&mut self) -> Round {
        let Ok(ready) = self.readiness.look() else { return Round::Done };
        let now = Instant::now();
        let ready: SmallVec<[FlowId; BATCH]> = ready.collect();
        for id in ready {
            self.take_responses(id, now);
            if self.outbox.is_full() {
                self.flush(now);
            }
        }
        self.flush(now);
        Round::Busy
    }

    fn take_responses(&mut self, id: FlowId, now: Instant) {
        // A flow that has ended has closed its socket.
        let Some(place) = self.flows.place(id) else { return };
        match self.outbox.read(&place.socket, &mut self.arena) {
            Ok(incoming) => {
                for (slot, train) in incoming {
                    if let Some(key) = self.flows.reply(id, train.volume(), now, &mut self.uplinks) {
                        self.outbox.push(slot, train, key);
                    }
                }
            }
            // A router on the way lets no packets of that length pass (ICMP): the kernel cuts what is longer from here on.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::EMSGSIZE) => {}
            Err(error) => self.lose(id, error, now),
        }
    }

    fn flush(&mut self, now: Instant) {
        let lost = self.outbox.flush(&self.socket, &self.arena);
        if lost > 0 {
            self.proxy.discard(Discard::NotSent, lost, now);
        }
    }
}
