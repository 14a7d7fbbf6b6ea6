use std::cell::RefCell;
use std::time::Duration;

/// A source of random numbers for decisions that need spread, not secrecy (wyrand).
///
/// It is passed in wherever a decision is random, so that a test can seed it and get the same decisions again.
pub type Random = fastrand::Rng;

/// The time ±10 %, so that what began together does not go on in step.
pub(crate) fn jittered(time: Duration, random: &mut Random) -> Duration {
    time.mul_f64(0.9 + 0.2 * random.f64())
}

thread_local! {
    static PER_THREAD: RefCell<Random> = RefCell::new(Random::new());
}

/// Runs `decide` with this thread's generator. `decide` must not call this again.
pub(crate) fn with_random<T>(decide: impl FnOnce(&mut Random) -> T) -> T {
    PER_THREAD.with_borrow_mut(decide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        let mut random = Random::with_seed(1);
        for _ in 0..1000 {
            let wait = jittered(Duration::from_secs(10), &mut random);
            assert!((9_000..=11_000).contains(&wait.as_millis()), "{wait:?}");
        }
    }
}
