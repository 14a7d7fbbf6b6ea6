use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    behaviour::Behaviour,
    origin::Origin,
    stage::{ORIGINS, Seen, Stage},
    support::Outcome,
    timer::Timer,
};

/// How long requests that nobody waits for any more may go on after a run.
const SETTLE: Duration = Duration::from_secs(60);

/// The origins behind all balancers, on a thread of their own. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) addresses: Vec<SocketAddr>,
    stage: Arc<Stage>,
    _runtime: Runtime,
}

impl Fleet {
    pub(crate) fn open(timer: &Timer) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
        let stage = Arc::new(Stage::new());
        let mut addresses = Vec::with_capacity(ORIGINS);
        for index in 0..ORIGINS {
            let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
            addresses.push(listener.local_addr()?);
            let origin = Arc::new(Origin::new(index, Arc::clone(&stage), timer.clone()));
            runtime.spawn(origin.listen(listener));
        }
        Ok(Self { addresses, stage, _runtime: runtime })
    }

    /// Has the odd origin behave like this from `begin` on.
    pub(crate) fn play(&self, begin: Instant, behaviour: Behaviour) {
        self.stage.play(begin, behaviour);
    }

    /// What came since then, when all of it is done.
    pub(crate) fn settle(&self) -> Outcome<Seen> {
        let deadline = Instant::now() + SETTLE;
        while !self.stage.is_idle() {
            if Instant::now() > deadline {
                return Err(format!("the origins are still busy {SETTLE:?} after a run").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(self.stage.seen())
    }
}
