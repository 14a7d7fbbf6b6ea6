//! What goes over the socket.
//!
//! ```text
//! {"v":1,"do":{"drain":{"endpoint":"app/127.0.0.1:9001","wait":"30s"}}}
//! {"v":1,"reply":{"in_flight":3}}
//! {"v":1,"reply":"drained"}
//! ```
//!
//! A connection carries one request and its replies; [`Reply::is_last`] says whether one is followed by others.

use serde::{Deserialize, Serialize};

use crate::cache::{Purge, Purged};
use crate::config::Origin;
use crate::config::spec::LogLevel;
use crate::runtime::{
    Draft, Drift, EjectionTime, Generation, Probation, Recent, Report, RequestReport, SplitStatus, Status,
    TapFilter, Target, UpgradeOrder, Verdict, WrittenQuestion,
};
use crate::split::CanaryOrder;
use crate::types::{Span, Weight};

/// Changes whenever one side could misunderstand the other.
const VERSION: u32 = 1;

/// What a process is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// Tell what goes on in all pools, or in one.
    Status { pool: Option<String> },
    /// Tell how the last quarter of an hour was, and what has changed: what came after the sample that ended then, in milliseconds
    /// since 1970, and after the transition of that number.
    Recent { sample: u64, transition: u64 },
    /// Take an endpoint out, and tell for so long how it finishes its work.
    Drain { endpoint: Target, wait: Span },
    /// Take an endpoint in again.
    Undrain { endpoint: Target },
    /// Leave an endpoint out for some time.
    Eject { endpoint: Target, time: EjectionTime },
    /// Change the share of an endpoint, or of a pool of a split.
    Weight { endpoint: Target, weight: Weight },
    /// Tell what a route's canary does, after it was steered if it is to be.
    Canary { route: String, order: Option<CanaryOrder> },
    /// Remove stored answers from all caches, or from one.
    Purge { cache: Option<String>, what: Purge },
    /// Read the configuration again and serve it, on probation or for good.
    Reload { probation: Option<Probation> },
    /// Read the configuration again, which says what runs since that was written into it, and change nothing by it.
    Written {},
    /// Serve the configuration of an earlier generation again: of this one, or of the one before.
    Rollback { to: Option<u64> },
    /// Tell the level of messages, after it was changed if it is to be.
    Log { level: Option<LogLevel> },
    /// Have another process take over.
    Upgrade { order: UpgradeOrder },
    /// Tell in what the process does otherwise than its file says, and what the file would be made from if it is to say that.
    Drift {
        #[serde(default)]
        draft: bool,
    },
    /// Tell the last generations.
    History {},
    /// Tell what is served, as it was read.
    Served {},
    /// Tell what would become of a request at this moment.
    Explain { question: WrittenQuestion },
    /// Tell what becomes of requests that are like this as they end, of so many at most and for so long.
    Tap { filter: TapFilter, most: u32, wait: Span },
}

/// What a process says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Status(Box<Status>),
    Recent(Recent),
    /// So many requests are in flight yet; more replies follow.
    InFlight(u32),
    /// The endpoint has finished its work.
    Drained,
    /// It has not, and the time to wait is over.
    Draining {
        in_flight: u32,
    },
    /// The endpoint was taken in again, and is this now.
    Undrained {
        state: String,
    },
    /// The endpoint is left out, and is this now.
    Ejected {
        state: String,
    },
    Weight {
        from: u16,
        to: u16,
    },
    Canary(SplitStatus),
    /// So many answers were removed.
    Purged(Purged),
    /// It goes on; more replies follow.
    Working,
    /// Another configuration is served.
    Changed(Report),
    /// Another configuration is served on probation; more replies follow.
    OnProbation(Report),
    /// What the probation came to.
    Judged(Verdict),
    /// What was to be served is not, for this reason; what was served before is.
    Refused(String),
    /// The level of messages, and what it was; none where the process does not choose.
    Log {
        level: Option<LogLevel>,
        was: Option<LogLevel>,
    },
    /// Another process serves, and this one finishes its work.
    Upgraded {
        process: u32,
        version: String,
    },
    /// No other process took over, for this reason.
    Stays(String),
    Drift {
        drift: Drift,
        draft: Option<Draft>,
    },
    /// The oldest first; the last one is served.
    History(Vec<Generation>),
    Served(Origin),
    /// What would become of a request, in words.
    Explained(String),
    /// What became of a request; more replies follow.
    Tapped(Box<RequestReport>),
    /// So many requests were like that, too, and came too fast to be told; more replies follow.
    Missed(u64),
    /// So many were told, and no more follow.
    TapEnded {
        told: u32,
    },
    /// Nothing was done, for this reason.
    Error(String),
}

/// A line that is none of the protocol's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidLine {
    #[error("of version {0} of the protocol, and only {VERSION} is spoken here")]
    Version(u32),
    #[error("not understood: {0}")]
    Broken(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<C> {
    v: u32,
    #[serde(rename = "do")]
    command: C,
}

#[derive(Serialize, Deserialize)]
struct Answer<R> {
    v: u32,
    reply: R,
}

/// What can be read of a line of any version.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Command {
    pub(super) fn to_line(&self) -> Vec<u8> {
        line(&Request { v: VERSION, command: self })
    }

    pub(super) fn from_line(line: &[u8]) -> Result<Self, InvalidLine> {
        check_version(line)?;
        Ok(serde_json::from_slice::<Request<_>>(line)?.command)
    }
}

impl Reply {
    /// Whether nothing comes after it.
    pub(super) fn is_last(&self) -> bool {
        !matches!(
            self,
            Self::InFlight(_) | Self::Working | Self::OnProbation(_) | Self::Tapped(_) | Self::Missed(_)
        )
    }

    pub(super) fn to_line(&self) -> Vec<u8> {
        line(&Answer { v: VERSION, reply: self })
    }

    pub(super) fn from_line(line: &[u8]) -> Result<Self, InvalidLine> {
        check_version(line)?;
        Ok(serde_json::from_slice::<Answer<_>>(line)?.reply)
    }
}

fn line(message: &impl Serialize) -> Vec<u8> {
    // Plain structures with text keys always serialise.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

fn check_version(line: &[u8]) -> Result<(), InvalidLine> {
    match serde_json::from_slice::<Versioned>(line)?.v {
        VERSION => Ok(()),
        other => Err(InvalidLine::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        Command::from_line(line.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_sides_read_what_the_other_writes() {
        let endpoint: Target = "app/unix:/run/a.sock".parse().unwrap();
        for command in [
            Command::Status { pool: None },
            Command::Recent { sample: 1_700_000_000_000, transition: 7 },
            Command::Drain { endpoint: endpoint.clone(), wait: Span::from_secs(90) },
            Command::Undrain { endpoint: endpoint.clone() },
            Command::Eject { endpoint: endpoint.clone(), time: "5m".parse().unwrap() },
            Command::Log { level: Some(LogLevel::Debug) },
            Command::Weight { endpoint, weight: "7".parse().unwrap() },
        ] {
            let line = command.to_line();
            assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
            assert_eq!(Command::from_line(&line).unwrap(), command);
        }
        for reply in [Reply::InFlight(3), Reply::Drained, Reply::Error("two\nlines".to_owned())] {
            let line = reply.to_line();
            assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
            assert_eq!(Reply::from_line(&line).unwrap(), reply);
        }
    }

    #[test]
    fn the_form_of_a_line_is_kept() {
        let drain = r#"{"v":1,"do":{"drain":{"endpoint":"app/127.0.0.1:9001","wait":"30s"}}}"#;
        assert_eq!(read(drain).unwrap().to_line(), format!("{drain}\n").into_bytes());
        assert!(read(r#"{"v":1,"do":{"status":{}}}"#).is_ok());
        let reply = Reply::Draining { in_flight: 2 }.to_line();
        assert_eq!(reply, b"{\"v\":1,\"reply\":{\"draining\":{\"in_flight\":2}}}\n");
    }

    #[test]
    fn other_versions_are_told_apart_from_broken_lines() {
        let expected = "of version 2 of the protocol, and only 1 is spoken here";
        assert_eq!(read(r#"{"v":2,"ask":"status"}"#).unwrap_err(), expected);
        for line in [
            "",
            "status",
            "{}",
            r#"{"v":1}"#,
            r#"{"v":1,"do":{"reboot":{}}}"#,
            r#"{"v":1,"do":{"status":{"pools":1}}}"#,
            r#"{"v":1,"do":{"weight":{"endpoint":"app","weight":"1"}}}"#,
            r#"{"v":1,"do":{"eject":{"endpoint":"app/127.0.0.1:1","time":"2h"}}}"#,
            r#"{"v":1,"do":{"weight":{"endpoint":"app/127.0.0.1:1","weight":"1001"}}}"#,
            r#"{"v":1,"do":{"status":{}},"more":1}"#,
        ] {
            assert!(read(line).unwrap_err().starts_with("not understood: "), "{line}");
        }
    }
}
