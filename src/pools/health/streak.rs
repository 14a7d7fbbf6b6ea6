/// Turns single probes into flips: an endpoint flips after so many equal results in a row.
///
/// The first result decides alone, so that a new endpoint neither waits through `rise` intervals nor gets work
/// that its first probe already warned of.
#[derive(Debug)]
pub(super) struct Streak {
    /// None before the first result.
    is_fit: Option<bool>,
    against: usize,
}

impl Streak {
    pub(super) fn new() -> Self {
        Self { is_fit: None, against: 0 }
    }

    /// Notes one probe; `threshold` results against the present state flip it. Returns whether the endpoint is
    /// fit when that changed.
    pub(super) fn observe(&mut self, passed: bool, threshold: usize) -> Option<bool> {
        if self.is_fit == Some(passed) {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.is_fit.is_some() && self.against < threshold {
            return None;
        }
        self.is_fit = Some(passed);
        self.against = 0;
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(streak: &mut Streak, passed: bool) -> Option<bool> {
        streak.observe(passed, if passed { 2 } else { 3 })
    }

    #[test]
    fn the_first_probe_decides_alone() {
        assert_eq!(observe(&mut Streak::new(), true), Some(true));
        assert_eq!(observe(&mut Streak::new(), false), Some(false));
    }

    #[test]
    fn only_results_in_a_row_count() {
        let mut streak = Streak::new();
        observe(&mut streak, true);
        let results = [false, false, true, false, false, false, true, true];
        let flips: Vec<_> = results.map(|passed| observe(&mut streak, passed)).into();
        let expected = [None, None, None, None, None, Some(false), None, Some(true)];
        assert_eq!(flips, expected);
    }
}
