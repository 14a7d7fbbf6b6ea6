use std::fmt;

use crate::types::closest;

/// What there is instead of a name that is unknown.
#[derive(Debug)]
pub(crate) struct Known {
    closest: Option<String>,
    all: Vec<String>,
}

/// More names than this are not told.
const MOST_TOLD: usize = 20;

impl Known {
    pub(super) fn for_name(name: &str, all: Vec<String>) -> Self {
        let closest = closest(name, all.iter().map(String::as_str)).map(str::to_owned);
        Self { closest, all }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(closest) = &self.closest {
            write!(f, "\n  help: did you mean `{closest}`?")?;
        }
        let told = self.all[..self.all.len().min(MOST_TOLD)].join(", ");
        match self.all.len() - self.all.len().min(MOST_TOLD) {
            0 if told.is_empty() => f.write_str("\n  help: there is none"),
            0 => write!(f, "\n  help: there is {told}"),
            more => write!(f, "\n  help: there is {told} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let known = Known::for_name("x", (0..25).map(|n| n.to_string()).collect());
        assert!(known.to_string().ends_with(" 19 and 5 more"));
        assert_eq!(Known::for_name("x", Vec::new()).to_string(), "\n  help: there is none");
    }
}
