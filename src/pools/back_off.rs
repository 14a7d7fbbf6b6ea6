use std::time::Duration;

use crate::types::Random;

/// The first retry waits for up to this, each further one for up to twice as long.
const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(250);

/// How long the next attempt waits, so that many that failed together do not come back together: anything up to a
/// bound that doubles ("full jitter"). An attempt that goes elsewhere after nothing was sent need not wait.
pub(crate) fn back_off(retries: u8, random: &mut Random) -> Duration {
    let doubled = SHORTEST.saturating_mul(1 << u32::from(retries.clamp(1, 5) - 1));
    doubled.min(LONGEST).mul_f64(random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_bound() {
        let mut random = Random::with_seed(1);
        for (retries, bound) in [(1, 25), (2, 50), (4, 200), (5, 250), (10, 250)] {
            let waits: Vec<_> = (0..1000).map(|_| back_off(retries, &mut random).as_millis()).collect();
            let longest = *waits.iter().max().unwrap();
            assert!(longest < bound && longest > bound * 9 / 10, "{retries}: {longest}");
        }
    }
}
