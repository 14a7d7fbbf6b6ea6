use clap::Args;

use crate::control::{Command, Reply, split_table};
use crate::split::CanaryOrder;

use super::output::{print, print_json};
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct Canary {
    #[command(flatten)]
    process: Process,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
    /// The route.
    #[arg(value_name = "ROUTE")]
    route: String,
    /// What it is to do: `pause` keeps it from growing, though not from being taken back, until `resume`; it grows
    /// again a whole `every` later. `restart` begins it anew; `promote` and `abort` end it. Default: nothing; it only tells what
    /// it does.
    #[arg(value_name = "ORDER")]
    order: Option<CanaryOrder>,
}

impl Canary {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, json, route, order } = self;
        match process.ask(&Command::Canary { route, order }, |_| ())? {
            Reply::Canary(split) if json => print_json(&split),
            Reply::Canary(split) => print(split_table(&split)),
            _ => Err(unexpected()),
        }
    }
}
