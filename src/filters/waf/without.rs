use crate::hooks::{BuildCx, BuildError, Filter};

use super::WafSettings;

/// The filter `waf`, which this program was built without.
#[derive(Debug)]
pub enum Waf {}

impl Waf {
    /// Tells how to get the filter.
    ///
    /// # Errors
    /// Always.
    pub fn build(settings: WafSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        settings.check()?;
        let error = BuildError::new("this program was built without the feature `waf`");
        Err(error.with_help("build it anew with `cargo build --release --features waf`"))
    }
}

impl Filter for Waf {}
