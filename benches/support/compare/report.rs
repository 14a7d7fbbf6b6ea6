use std::{collections::BTreeMap, time::SystemTime};

use serde::Serialize;

use super::{
    bar::Bar,
    figures::Figures,
    section::Section,
    words::{Compared, Work},
};
use crate::support::{Outcome, machine::Machine, placement::Placement, verdict::Verdict};

/// How a run was made.
#[derive(Debug, Serialize)]
pub(super) struct Setup {
    pub(super) rounds: u32,
    pub(super) seconds: u32,
    pub(super) placement: Placement,
    #[serde(skip)]
    pub(super) load: String,
}

/// All that a run found, as it goes to the JSON file.
#[derive(Debug, Serialize)]
pub(super) struct Report<R: Work> {
    date: String,
    machine: Machine,
    #[serde(flatten)]
    setup: Setup,
    versions: BTreeMap<&'static str, String>,
    rows: Vec<Section<R>>,
    bars: Vec<Bar>,
}

impl<R: Work> Report<R> {
    /// Of `rows`, in which the peers that have `versions` took part; all are divided by each of `references`.
    pub(super) fn new(
        setup: Setup,
        versions: &[(R::Peer, String)],
        rows: &[R],
        references: &[R::Peer],
        figures: &Figures<R>,
        bars: Vec<Bar>,
    ) -> Self {
        let peers: Vec<R::Peer> = versions.iter().map(|(peer, _)| *peer).collect();
        Self {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            machine: Machine::this(),
            setup,
            versions: versions.iter().map(|(peer, version)| (peer.name(), version.clone())).collect(),
            rows: rows.iter().map(|&row| Section::new(row, &peers, references, figures)).collect(),
            bars,
        }
    }

    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        self.bars.iter().map(|bar| bar.verdict).collect()
    }

    pub(super) fn json(&self) -> Outcome<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The whole report for people to read.
    pub(super) fn text(&self) -> String {
        let sections: String = self.rows.iter().map(Section::text).collect();
        let bars: Vec<String> = self.bars.iter().map(Bar::line).collect();
        self.heading() + &sections + &bars.join("\n") + "\n"
    }

    fn heading(&self) -> String {
        let Machine { cpu, cores, kernel } = &self.machine;
        let Setup { rounds, seconds, placement, load } = &self.setup;
        let mut text = format!(
            "\n{}  {cpu}, {cores} cores, Linux {kernel}\n\
             {rounds} rounds of {seconds} s; {load}; one worker each, access logs off; {}\n",
            self.date,
            placement.describe()
        );
        for (name, version) in &self.versions {
            text.push_str(&format!("  {name}: {version}\n"));
        }
        text
    }
}
