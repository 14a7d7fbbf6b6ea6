use std::{collections::BTreeMap, io, sync::Arc, thread, time::Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Wakes tasks up to the accuracy of the kernel: tokio's own timer rounds up to whole milliseconds, a fifth of what a
/// request costs.
///
/// One thread does the waiting, as long as the process lives.
#[derive(Clone, Debug)]
pub(crate) struct Timer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    alarms: Mutex<Alarms>,
    sooner: Condvar,
}

#[derive(Debug, Default)]
struct Alarms {
    /// The number tells those apart that are due at the same time.
    waiting: BTreeMap<(Instant, u64), oneshot::Sender<()>>,
    number: u64,
}

impl Timer {
    pub(crate) fn start() -> Self {
        let timer = Self(Arc::default());
        let shared = Arc::clone(&timer.0);
        thread::spawn(move || shared.ring());
        timer
    }

    /// Waits until `due`; returns at once when that has passed.
    pub(crate) async fn sleep_until(&self, due: Instant) -> io::Result<()> {
        if due <= Instant::now() {
            return Ok(());
        }
        let (alarm, rings) = oneshot::channel();
        self.0.add(due, alarm);
        rings.await.map_err(io::Error::other)
    }
}

impl Shared {
    fn add(&self, due: Instant, alarm: oneshot::Sender<()>) {
        let mut alarms = self.alarms.lock();
        alarms.number += 1;
        let key = (due, alarms.number);
        alarms.waiting.insert(key, alarm);
        if alarms.waiting.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.sooner.notify_one();
        }
    }

    fn ring(&self) {
        let mut alarms = self.alarms.lock();
        loop {
            let Some(first) = alarms.waiting.first_entry() else {
                self.sooner.wait(&mut alarms);
                continue;
            };
            let due = first.key().0;
            if due <= Instant::now() {
                // That nobody waits any more is no error.
                let _ = first.remove().send(());
            } else {
                self.sooner.wait_until(&mut alarms, due);
            }
        }
    }
}
