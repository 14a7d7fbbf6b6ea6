use std::{ffi::OsString, process, time::Duration};

use crate::support::{
    Outcome,
    process::{find, output_of},
};

/// Who goes first when other work wants the cores as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// The bench and all that it starts (`SCHED_RR`).
    Bench,
    /// Nobody.
    Nobody,
}

impl Priority {
    /// Puts this process and all that it starts from now on before other work, where it may do that: builds and tests
    /// beside it would delay what is measured by milliseconds, or take its core.
    pub(crate) fn claim() -> Outcome<Self> {
        let Some(chrt) = find("chrt") else { return Ok(Self::Nobody) };
        let own = process::id().to_string();
        let run = |words: &[&str]| {
            let words: Vec<OsString> =
                [chrt.clone().into()].into_iter().chain(words.iter().map(OsString::from)).collect();
            output_of(&words, Duration::from_secs(5))
        };
        run(&["-r", "-p", "10", &own])?;
        let is_claimed = run(&["-p", &own])?.contains("SCHED_RR");
        Ok(if is_claimed { Self::Bench } else { Self::Nobody })
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Bench => "before all other work",
            Self::Nobody => "at normal priority",
        }
    }
}
