use crate::pools::Fitness;

/// Turns single probes into flips: an endpoint flips after so many equal results in a row.
///
/// The first result decides alone, so that a new endpoint neither waits through `rise` intervals nor gets work
/// that its first probe already warned of.
#[derive(Debug)]
pub(super) struct Streak {
    fitness: Fitness,
    against: usize,
}

impl Streak {
    pub(super) fn new() -> Self {
        Self { fitness: Fitness::Checking, against: 0 }
    }

    /// Notes one probe; `threshold` results against the present fitness flip it. Returns the new fitness when
    /// it changed.
    pub(super) fn observe(&mut self, passed: bool, threshold: usize) -> Option<Fitness> {
        let found = if passed { Fitness::Fit } else { Fitness::Unfit };
        if found == self.fitness {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.fitness != Fitness::Checking && self.against < threshold {
            return None;
        }
        self.fitness = found;
        self.against = 0;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(streak: &mut Streak, passed: bool) -> Option<Fitness> {
        streak.observe(passed, if passed { 2 } else { 3 })
    }

    #[test]
    fn the_first_probe_decides_alone() {
        assert_eq!(observe(&mut Streak::new(), true), Some(Fitness::Fit));
        assert_eq!(observe(&mut Streak::new(), false), Some(Fitness::Unfit));
    }

    #[test]
    fn only_results_in_a_row_count() {
        let mut streak = Streak::new();
        observe(&mut streak, true);
        let results = [false, false, true, false, false, false, true, true];
        let flips: Vec<_> = results.map(|passed| observe(&mut streak, passed)).into();
        let expected = [None, None, None, None, None, Some(Fitness::Unfit), None, Some(Fitness::Fit)];
        assert_eq!(flips, expected);
    }
}
