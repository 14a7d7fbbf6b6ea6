use clap::Args;

use crate::cache;
use crate::control::{Command, Reply};

use super::output::print_line;
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct Purge {
    #[command(flatten)]
    process: Process,
    /// Only from the cache of this name.
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,
    #[command(flatten)]
    what: What,
}

/// One of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// What was asked for by this URL, in all variants: as clients ask for it, or as endpoints see it.
    #[arg(value_name = "URL", value_parser = cache::Purge::url)]
    url: Option<cache::Purge>,
    /// What was asked for by URLs that begin so.
    #[arg(long, value_name = "URL", value_parser = cache::Purge::prefix)]
    prefix: Option<cache::Purge>,
    /// What has this tag in its `Cache-Tag`.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
}

impl Purge {
    pub(super) fn run(self) -> Result<(), u8> {
        let What { url, prefix, tag, all: _ } = self.what;
        let what = url.or(prefix).or(tag.map(cache::Purge::Tag)).unwrap_or(cache::Purge::All);
        let Reply::Purged(cache::Purged { answers, is_complete }) =
            self.process.ask(&Command::Purge { cache: self.cache, what }, |_| ())?
        else {
            return Err(unexpected());
        };
        if is_complete {
            print_line(format_args!("{answers} removed"))
        } else {
            print_line(format_args!(
                "{answers} removed; files are still looked through, and what is meant is given no more"
            ))
        }
    }
}
