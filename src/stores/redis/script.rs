use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script that Redis runs as one step, known there by its SHA-1.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    source: &'static str,
    name: String,
}

impl Script {
    pub(crate) fn new(source: &'static str) -> Self {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, source.as_bytes());
        let name = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { source, name }
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_called_by_its_digest() {
        // The example of Redis' documentation of EVALSHA's relative SCRIPT LOAD: `return 1`.
        assert_eq!(Script::new("return 1").name(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
