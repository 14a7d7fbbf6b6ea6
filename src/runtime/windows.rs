use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::telemetry::{TURN, Turn};

use super::{Live, Snapshot};

/// Turns what tells of the last minute, of all that is served. Never returns; dropped, it ends.
pub(crate) async fn turn_windows(live: Arc<Live>) {
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since = turns.tick().await;
    loop {
        turns.tick().await;
        let now = Instant::now();
        live.snapshot().turn(Turn { since, now });
        since = now;
    }
}

impl Snapshot {
    fn turn(&self, turn: Turn) {
        self.routes.iter().for_each(|route| route.stats.requests.turn(turn));
        self.unrouted.requests.turn(turn);
        self.pools.iter().for_each(|pool| pool.turn(turn));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use tokio::time::sleep;

    use super::*;
    use crate::config::Origin;
    use crate::runtime::{Control, Registry, Unchanging, assemble};
    use crate::telemetry::EndedRequest;

    const TEXT: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [127.0.0.1:9001] } }
routes: [{ name: all, pool: app }]
";

    fn request(took: Duration) -> EndedRequest {
        EndedRequest { status: Some(StatusCode::OK), took, received: 0, sent: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_minute_is_told_and_goes_on_over_reloads() {
        let (origin, registry) = (Origin::test(TEXT), Registry::with_built_ins());
        let first = assemble(&origin, &registry, None).unwrap();
        let live = Arc::new(Live::new(first.snapshot.clone()));
        let control = Control::new(live.clone(), Arc::new(Unchanging::default()));
        let told = || {
            let status = control.status(None, Instant::now()).unwrap();
            let of_route = status.routes[0].last_minute;
            assert_eq!(of_route, status.last_minute);
            (of_route.per_s, of_route.p50_ms.map(|latency| latency.round()))
        };
        let turning = tokio::spawn(turn_windows(live.clone()));
        sleep(TURN / 2).await;
        (0..10).for_each(|_| {
            first.snapshot.routes[0].stats.requests.count(&request(Duration::from_millis(100)))
        });
        assert_eq!(told(), (0.0, None));
        sleep(TURN).await;
        let (per_s, latency) = told();
        assert!(per_s == 2.0 && (95.0..105.0).contains(&latency.unwrap()), "{latency:?}");
        let second = assemble(&Origin::test(TEXT), &registry, Some(&first)).unwrap();
        live.replace(second.snapshot);
        sleep(TURN).await;
        assert_eq!(told(), (1.0, latency));
        sleep(12 * TURN).await;
        assert_eq!(told(), (0.0, None));
        turning.abort();
    }
}
