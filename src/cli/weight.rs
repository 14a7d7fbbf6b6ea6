use clap::Args;

use crate::control::{Command, Reply};
use crate::runtime::Target;
use crate::types;

use super::output::print_line;
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct Weight {
    #[command(flatten)]
    process: Process,
    /// The endpoint: its pool, a slash, and its address as it stands in the configuration. Or a pool of a split: the route, a
    /// slash, and the pool.
    #[arg(value_name = "POOL/ENDPOINT|ROUTE/POOL")]
    endpoint: Target,
    /// Its share relative to the others, 0 to 1000. 0 drains an endpoint, and any other ends a drain.
    #[arg(value_name = "N")]
    weight: types::Weight,
}

impl Weight {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, endpoint, weight } = self;
        let Reply::Weight { from, to } = process.ask(&Command::Weight { endpoint, weight }, |_| ())? else {
            return Err(unexpected());
        };
        print_line(format_args!("weight {to}, was {from}"))
    }
}
