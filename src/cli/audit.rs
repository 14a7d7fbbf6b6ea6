use std::path::PathBuf;

use clap::Args;

use crate::app::AppBuilder;
use crate::audit::Severity;

use super::output::{fail, print, print_json};
use super::{FAILED, load};

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// From which severity on a deviation makes the command fail: high, medium or low.
    #[arg(long, value_name = "SEVERITY", default_value_t = Severity::High)]
    deny: Severity,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn run(self, builder: &AppBuilder) -> Result<(), u8> {
        let audit = load(builder, &self.config)?.audit().map_err(fail)?;
        if self.json { print_json(&audit) } else { print(&audit) }?;
        if audit.has(self.deny) { Err(FAILED) } else { Ok(()) }
    }
}
