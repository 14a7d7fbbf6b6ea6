use std::time::Duration;

use futures::future::join_all;

use crate::runtime::Live;

/// How long whoever wants to know who is fit waits for that. Requests wait for first probes, too, so that a process with slow
/// endpoints may serve before.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Waits until the first probes have told whether anybody is fit, or until that has taken long enough.
pub(super) async fn settled(live: &Live) {
    let snapshot = live.snapshot();
    join_all(snapshot.pools.iter().map(|pool| pool.wait_until_settled(SETTLE_LIMIT))).await;
}
