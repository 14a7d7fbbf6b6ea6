use std::mem::discriminant;

use crate::pools::Health;

/// Turns single probes into the health of an endpoint, which changes after so many equal results in a row.
///
/// The first result decides alone, so that a new endpoint neither waits through `rise` intervals nor gets work
/// that its first probe already warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pools) struct Streak {
    health: Health,
    against: usize,
}

impl Streak {
    /// One that nothing speaks against.
    pub(in crate::pools) fn of(health: Health) -> Self {
        Self { health, against: 0 }
    }

    /// One against which so many results in a row speak, none of which has decided.
    pub(in crate::pools) fn with_against(health: Health, against: usize) -> Self {
        Self { health, against }
    }

    pub(in crate::pools) fn health(&self) -> Health {
        self.health
    }

    /// How many results in a row speak against the present health.
    pub(in crate::pools) fn against(&self) -> usize {
        self.against
    }

    /// Whether results against the present health are being counted.
    pub(in crate::pools) fn is_in_transition(&self) -> bool {
        self.against > 0
    }

    /// Notes what one probe found; `threshold` results against the present health change it.
    pub(in crate::pools) fn observe(&mut self, found: Health, threshold: usize) {
        let contradicts = discriminant(&found) != discriminant(&self.health);
        self.against = if contradicts { self.against + 1 } else { 0 };
        if !contradicts || self.health == Health::Checking || self.against >= threshold {
            self.health = found;
            self.against = 0;
        } else if found == Health::Fit {
            // Not trusted yet, but it was connected to.
            self.health = Health::Unfit { is_reachable: true };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNFIT: Health = Health::Unfit { is_reachable: true };
    const UNREACHABLE: Health = Health::Unfit { is_reachable: false };

    fn observe(streak: &mut Streak, found: Health) -> (Health, bool) {
        streak.observe(found, if found == Health::Fit { 2 } else { 3 });
        (streak.health(), streak.is_in_transition())
    }

    #[test]
    fn the_first_probe_decides_alone() {
        for found in [Health::Fit, UNFIT, UNREACHABLE] {
            assert_eq!(observe(&mut Streak::of(Health::Checking), found), (found, false));
        }
    }

    #[test]
    fn only_results_in_a_row_count_and_they_are_a_transition() {
        let mut streak = Streak::of(Health::Checking);
        observe(&mut streak, Health::Fit);
        let found = [UNFIT, UNFIT, Health::Fit, UNFIT, UNFIT, UNFIT, Health::Fit, Health::Fit, Health::Fit];
        let expected = [
            (Health::Fit, true),
            (Health::Fit, true),
            (Health::Fit, false),
            (Health::Fit, true),
            (Health::Fit, true),
            (UNFIT, false),
            (UNFIT, true),
            (Health::Fit, false),
            (Health::Fit, false),
        ];
        assert_eq!(found.map(|found| observe(&mut streak, found)), expected);
    }

    #[test]
    fn the_last_probe_says_whether_an_unfit_one_can_be_reached() {
        let mut streak = Streak::of(Health::Checking);
        let found = [UNREACHABLE, UNFIT, UNREACHABLE, Health::Fit, UNREACHABLE];
        let health = [UNREACHABLE, UNFIT, UNREACHABLE, UNFIT, UNREACHABLE];
        assert_eq!(found.map(|found| observe(&mut streak, found).0), health);
    }
}
