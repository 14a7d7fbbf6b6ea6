use clap::Args;
use serde::Serialize;

use crate::control::{Command, Reply};
use crate::runtime::{Probation, Report, Verdict};
use crate::types::{Percent, Span};

use super::output::{fail, print, print_json, print_line, tell};
use super::process::Process;
use super::{a_second_or_more, refused, unexpected};

#[derive(Debug, Args)]
pub(super) struct Reload {
    #[command(flatten)]
    process: Process,
    /// Watch the new configuration for so long, and go back to the old one by itself if requests fare worse. Waits for the
    /// end of it. At least 1s.
    #[arg(long, value_name = "TIME", value_parser = a_second_or_more)]
    probation: Option<Span>,
    /// So much more of the requests may be answered with 5xx than before, in points of percent.
    #[arg(long, value_name = "PERCENT", default_value = "+5%", requires = "probation")]
    max_errors: Percent,
    /// So much longer the slowest hundredth of the requests may take than before.
    #[arg(long, value_name = "PERCENT", default_value = "+100%", requires = "probation")]
    max_p99: Percent,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// What is printed for programs.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    report: Option<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
}

impl Reload {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, probation, max_errors, max_p99, json } = self;
        let probation = probation.map(|lasts| Probation { lasts, max_errors, max_p99 });
        change(&process, &Command::Reload { probation }, json)
    }
}

/// Has a process serve another configuration, and prints what that comes to.
pub(super) fn change(process: &Process, command: &Command, json: bool) -> Result<(), u8> {
    let (mut on_probation, mut shown) = (None, Ok(()));
    let progress = |reply| {
        if let Reply::OnProbation(report) = reply {
            if !json {
                shown = shown.and_then(|()| show(&report));
                tell("on probation\n");
            }
            on_probation = Some(report);
        }
    };
    let (report, verdict) = match process.ask(command, progress)? {
        Reply::Changed(report) => {
            if !json {
                show(&report)?;
            }
            (Some(report), None)
        }
        Reply::Judged(verdict) => (on_probation, Some(verdict)),
        Reply::Refused(problems) => return Err(refused(&problems)),
        _ => return Err(unexpected()),
    };
    let told = Told { report, verdict };
    if json {
        print_json(&told)?;
    }
    told.verdict.map_or(Ok(()), |verdict| judge(&verdict, json))?;
    shown
}

fn show(report: &Report) -> Result<(), u8> {
    tell(&report.warnings);
    print(report)
}

/// What a probation means for whoever asked for it.
fn judge(verdict: &Verdict, json: bool) -> Result<(), u8> {
    match verdict {
        Verdict::Passed { seen } => {
            if json {
                Ok(())
            } else {
                print_line(format_args!("passed: {seen}"))
            }
        }
        Verdict::Failed { why, stuck: None } => {
            Err(fail(format_args!("the new configuration was taken back: {why}")))
        }
        Verdict::Failed { why, stuck: Some(stuck) } => Err(fail(format_args!(
            "the new configuration fares worse, but the old one cannot be served any more: {why}\n{stuck}"
        ))),
        Verdict::Overtaken => Err(fail("another change came before the end of the probation")),
    }
}
