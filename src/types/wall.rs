use std::sync::OnceLock;
use std::time::SystemTime;

use tokio::time::Instant;

/// What the clock on the wall says of a moment. It is asked once, so that a moment is told by the same time whenever somebody
/// asks; where the system's time is set anew later on, what is told keeps to the old.
pub(crate) fn wall_time(moment: Instant) -> SystemTime {
    static BEGAN: OnceLock<(Instant, SystemTime)> = OnceLock::new();
    let (instant, time) = *BEGAN.get_or_init(|| (Instant::now(), SystemTime::now()));
    match moment.checked_duration_since(instant) {
        Some(later) => time + later,
        None => time - instant.saturating_duration_since(moment),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_as_far_apart_as_they_are() {
        let now = Instant::now();
        let (earlier, later) = (now - Duration::from_secs(90), now + Duration::from_secs(7));
        assert_eq!(wall_time(now), wall_time(now));
        assert_eq!(wall_time(later).duration_since(wall_time(earlier)).unwrap(), Duration::from_secs(97));
    }
}
