use tokio::time::Instant;

use crate::hooks::keep::{Keeping, Kept, Scope};
use crate::hooks::{BuildCx, BuildError};

/// One use of a hook over several configurations, to test what it [keeps](BuildCx::keep).
#[derive(Debug)]
pub struct Generations {
    kept: Kept,
    scope: Scope,
}

impl Generations {
    /// Before the first configuration.
    #[expect(clippy::expect_used, reason = "a constant")]
    pub fn new() -> Self {
        let route = "test".parse().expect("a route's name");
        Self { kept: Kept::default(), scope: Scope::filter(&route, "test", 0) }
    }

    /// Builds the hook as the next configuration would. What the one before kept is there, and what this one does not
    /// ask for is gone, unless it fails.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn build<S, H>(
        &mut self,
        settings: S,
        build: impl FnOnce(S, &BuildCx<'_>) -> Result<H, BuildError>,
    ) -> Result<H, BuildError> {
        let keeping = Keeping::new(&self.kept);
        let built = build(settings, &BuildCx::new(&[], 64).keeping(&keeping, &self.scope))?;
        self.kept = keeping.into_kept();
        Ok(built)
    }

    /// Hands what can be exported to another process: the next hook is built there.
    pub fn hand_over(&mut self, now: Instant) {
        self.kept = Kept::import(self.kept.export(now), now);
    }
}

impl Default for Generations {
    fn default() -> Self {
        Self::new()
    }
}
