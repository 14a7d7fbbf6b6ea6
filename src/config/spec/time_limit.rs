use std::fmt;
use std::str::FromStr;

use crate::types::{InvalidUnit, Span, text_leaf};

/// How long something may take, if that is limited: `none`, or some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Span>);

/// A text that is neither `none` nor some time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimeLimit {
    /// No duration at all.
    #[error(transparent)]
    Unit(#[from] InvalidUnit),
    /// No time.
    #[error("`0s` leaves no time at all; write 1ms or more, or none for no limit")]
    Zero,
}

impl TimeLimit {
    /// No limit.
    pub(crate) fn none() -> Self {
        Self(None)
    }
}

impl FromStr for TimeLimit {
    type Err = InvalidTimeLimit;

    fn from_str(text: &str) -> Result<Self, InvalidTimeLimit> {
        if text == "none" {
            return Ok(Self(None));
        }
        let span: Span = text.parse()?;
        if span.is_zero() { Err(InvalidTimeLimit::Zero) } else { Ok(Self(Some(span))) }
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(span) => span.fmt(f),
        }
    }
}

text_leaf!(TimeLimit, "`none` or a duration", "250ms");
