use std::ops::ControlFlow;

use clap::Args;

use crate::control::{Command, Reply};
use crate::runtime::{self, RequestReport, TapFilter, TapStatus};
use crate::types::{Cidr, EndpointAddr, HostPattern, Span};

use super::output::{fail, print_while_read, tell};
use super::process::Process;
use super::{a_second_or_more, unexpected};

#[derive(Debug, Args)]
pub(super) struct Tap {
    #[command(flatten)]
    process: Process,
    /// Only requests of this route.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only requests that went to this pool.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only requests that were sent to this endpoint, in any of their attempts.
    #[arg(long, value_name = "ADDRESS")]
    endpoint: Option<EndpointAddr>,
    /// Only requests of clients in this network.
    #[arg(long, value_name = "NETWORK")]
    client: Option<Cidr>,
    /// Only requests for this host; `*.example.com` stands for all below it.
    #[arg(long, value_name = "HOST")]
    host: Option<HostPattern>,
    /// Only requests whose path begins like this.
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Only requests that ended like this: a status, a class like `5xx`, or the word of a cause like `queue_full`.
    #[arg(long, value_name = "STATUS")]
    status: Option<TapStatus>,
    /// Only requests that came in on this listener. Connections of TCP and flows of UDP are no requests: the access log tells of
    /// them.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// End after so many requests.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
    /// End after this time: 1s to 10m.
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = ten_minutes_at_most)]
    wait: Span,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

fn ten_minutes_at_most(text: &str) -> Result<Span, String> {
    let most = runtime::Tap::LONGEST;
    match a_second_or_more(text)? {
        time if time > most => Err(format!("`{text}` is too long; give 1s to {most}")),
        time => Ok(time),
    }
}

impl Tap {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, route, pool, endpoint, client, host, path, status, listener, .. } = self;
        let filter = TapFilter { route, pool, endpoint, client, host, path, status, listener };
        let command = Command::Tap { filter, most: self.max, wait: self.wait };
        let mut more = 0;
        let ended = process.ask_until(&command, |reply| match reply {
            Reply::Tapped(report) => show(&report, self.json),
            Reply::Missed(count) => {
                more += count;
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        })?;
        match ended {
            ControlFlow::Break(done) => return done,
            ControlFlow::Continue(Reply::TapEnded { told: 0 }) if more == 0 => tell("no request matched\n"),
            ControlFlow::Continue(Reply::TapEnded { .. }) => {}
            ControlFlow::Continue(_) => return Err(unexpected()),
        }
        if more > 0 {
            tell(format_args!("{more} more matched\n"));
        }
        Ok(())
    }
}

/// Prints a request; breaks off where nobody reads any more.
fn show(report: &RequestReport, json: bool) -> ControlFlow<Result<(), u8>> {
    let printed = if json {
        serde_json::to_string(report)
            .map_err(fail)
            .and_then(|line| print_while_read(format_args!("{line}\n")))
    } else {
        print_while_read(format_args!("{}\n", report.text()))
    };
    match printed {
        Ok(true) => ControlFlow::Continue(()),
        Ok(false) => ControlFlow::Break(Ok(())),
        Err(code) => ControlFlow::Break(Err(code)),
    }
}
