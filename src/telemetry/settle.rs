use std::time::Duration;

/// Waits until `is_settled`, at most `limit`. Blocks its thread: for the end of the process.
pub(crate) fn wait_until(limit: Duration, is_settled: impl Fn() -> bool) {
    const STEP: Duration = Duration::from_millis(5);

    let mut waited = Duration::ZERO;
    while !is_settled() && waited < limit {
        std::thread::sleep(STEP);
        waited += STEP;
    }
}
