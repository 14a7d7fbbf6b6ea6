use std::collections::{HashSet, VecDeque};
use std::time::SystemTime;

use crate::config::{Diff, Origin};
use crate::runtime::{Generation, Refused, Report, Standing, Why};

/// The last generations, each with its configuration, so that it can be served again.
#[derive(Debug)]
pub(super) struct History {
    /// The oldest first, and never empty.
    generations: VecDeque<(Generation, Origin)>,
}

/// How a generation came to be.
pub(super) struct Made {
    pub(super) why: Why,
    /// The generation that had its configuration before, if one had.
    pub(super) configuration: Option<u64>,
    pub(super) standing: Standing,
}

/// So many configurations are kept.
const KEPT: usize = 10;
/// So many generations are; one that goes back to a configuration is another generation of it.
const MOST: usize = 4 * KEPT;

impl History {
    pub(super) fn new(first: Origin, now: SystemTime) -> Self {
        let generation = Generation {
            number: 1,
            began: rfc3339(now),
            origin: Why::Start,
            configuration: 1,
            diff: Diff::default(),
            files: Vec::new(),
            standing: Standing::Serving,
        };
        Self { generations: VecDeque::from([(generation, first)]) }
    }

    /// Goes on with the generations of the process before this one, from the last of which this one's configuration differs by
    /// so much.
    pub(super) fn go_on(&mut self, before: Vec<(Generation, Origin)>, diff: Diff) {
        let Some(mut last) = before.last().map(|(last, _)| last.clone()) else { return };
        let Some((mut own, origin)) = self.generations.pop_front() else { return };
        self.generations = before.into();
        if diff.is_empty() {
            last.standing = Standing::Serving;
            self.generations.pop_back();
            self.generations.push_back((last, origin));
            return;
        }
        (own.number, own.configuration) = (last.number + 1, last.number + 1);
        (own.origin, own.diff) = (Why::Upgrade, diff);
        self.mark(last.number, Standing::Replaced);
        self.add(own, origin);
    }

    /// All generations and their configurations, the oldest first.
    pub(super) fn entries(&self) -> Vec<(Generation, Origin)> {
        self.generations.iter().cloned().collect()
    }

    /// The number of the one that is served.
    pub(super) fn current(&self) -> u64 {
        self.last().0.number
    }

    /// The configuration that is served.
    pub(super) fn served(&self) -> &Origin {
        &self.last().1
    }

    pub(super) fn generations(&self) -> Vec<Generation> {
        self.generations.iter().map(|(generation, _)| generation.clone()).collect()
    }

    /// Notes a new generation.
    pub(super) fn push(&mut self, report: &Report, made: Made, origin: Origin, now: SystemTime) {
        let Made { why, configuration, standing } = made;
        if let Some((last, _)) = self.generations.back_mut()
            && last.standing.is_served()
        {
            last.standing = Standing::Replaced;
        }
        let generation = Generation {
            number: report.generation,
            began: rfc3339(now),
            origin: why,
            configuration: configuration.unwrap_or(report.generation),
            diff: report.diff.clone(),
            files: report.files.clone(),
            standing,
        };
        self.add(generation, origin);
    }

    fn add(&mut self, generation: Generation, origin: Origin) {
        self.generations.push_back((generation, origin));
        while self.generations.len() > MOST || self.configurations() > KEPT {
            self.generations.pop_front();
        }
    }

    /// How many there are to go back to, with the one that is served.
    fn configurations(&self) -> usize {
        self.generations.iter().map(|(generation, _)| generation.configuration).collect::<HashSet<_>>().len()
    }

    pub(super) fn is_on_probation(&self) -> bool {
        self.last().0.standing == Standing::OnProbation
    }

    /// The generation whose configuration is served again, if it is one of before.
    pub(super) fn gone_back_to(&self) -> Option<u64> {
        let served = &self.last().0;
        (served.configuration != served.number).then_some(served.configuration)
    }

    /// Notes what became of a generation, if it is still known.
    pub(super) fn mark(&mut self, number: u64, standing: Standing) {
        if let Some((generation, _)) = self.generations.iter_mut().find(|(known, _)| known.number == number) {
            generation.standing = standing;
        }
    }

    /// The configuration of a generation, or of the one before the one whose configuration is served.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn find(&self, number: Option<u64>) -> Result<(u64, Origin), Refused> {
        let (last, served) = self.last();
        // Where only files differ that the configuration names, to go back to its text leads nowhere.
        let leads_back = |(known, origin): &&(Generation, Origin)| {
            known.configuration < last.configuration && origin != served
        };
        let found = match number {
            Some(number) => self.generations.iter().find(|(known, _)| known.number == number),
            None => self.generations.iter().rev().find(leads_back),
        };
        let found = found.map(|(generation, origin)| (generation.configuration, origin.clone()));
        found.ok_or_else(|| Refused::because(self.explain_missing(number)))
    }

    fn explain_missing(&self, number: Option<u64>) -> String {
        let oldest = self.generations[0].0.number;
        match number {
            Some(number) => {
                let newest = self.current();
                format!(
                    "no generation {number} is kept\n  help: there are {oldest} to {newest}; see `evener history`"
                )
            }
            None => "no earlier configuration is kept\n  help: see `evener history`".to_owned(),
        }
    }

    fn last(&self) -> &(Generation, Origin) {
        &self.generations[self.generations.len() - 1]
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::Text { name: "x.yaml".to_owned(), base: "".into(), text: text.to_owned(), included: None }
    }

    fn push(history: &mut History, why: Why, configuration: Option<u64>) {
        let text = configuration.unwrap_or(history.current() + 1).to_string();
        push_text(history, why, configuration, &text);
    }

    fn push_text(history: &mut History, why: Why, configuration: Option<u64>, text: &str) {
        let generation = history.current() + 1;
        let report = Report {
            generation,
            diff: Diff::default(),
            files: Vec::new(),
            restart: Vec::new(),
            warnings: String::new(),
            took_ms: 0.0,
        };
        let made = Made { why, configuration, standing: Standing::Serving };
        history.push(&report, made, origin(text), SystemTime::UNIX_EPOCH);
    }

    fn target(history: &History, to: Option<u64>) -> Option<(u64, Origin)> {
        history.find(to).ok()
    }

    #[test]
    fn each_way_back_leads_further_back() {
        let mut history = History::new(origin("1"), SystemTime::UNIX_EPOCH);
        assert_eq!(target(&history, None), None);
        push(&mut history, Why::Command, None);
        push(&mut history, Why::Command, None);
        assert_eq!(target(&history, None), Some((2, origin("2"))));
        push(&mut history, Why::Rollback, Some(2));
        assert_eq!(target(&history, None), Some((1, origin("1"))));
        assert_eq!(target(&history, Some(3)), Some((3, origin("3"))));
        push(&mut history, Why::Rollback, Some(3));
        assert_eq!(target(&history, None), Some((2, origin("2"))));
        let standings: Vec<_> = history.generations().into_iter().map(|one| one.standing).collect();
        let mut expected = vec![Standing::Replaced; 4];
        expected.push(Standing::Serving);
        assert_eq!(standings, expected);
    }

    #[test]
    fn what_differs_in_files_alone_is_no_way_back() {
        let mut history = History::new(origin("a"), SystemTime::UNIX_EPOCH);
        push_text(&mut history, Why::Command, None, "b");
        push_text(&mut history, Why::Command, None, "b");
        assert_eq!(target(&history, None), Some((1, origin("a"))));
        assert_eq!(target(&history, Some(2)), Some((2, origin("b"))));
    }

    #[test]
    fn a_process_goes_on_with_the_generations_of_the_one_before() {
        let mut before = History::new(origin("1"), SystemTime::UNIX_EPOCH);
        push(&mut before, Why::Command, None);
        let mut same = History::new(origin("2"), SystemTime::UNIX_EPOCH);
        same.go_on(before.entries(), Diff::default());
        assert_eq!(same.entries(), before.entries());
        let change = serde_json::json!({
            "kind": "added", "section": "routes", "name": "a", "details": []
        });
        let diff: Diff = serde_json::from_value(serde_json::json!({ "changes": [change] })).unwrap();
        let mut other = History::new(origin("3"), SystemTime::UNIX_EPOCH);
        other.go_on(before.entries(), diff);
        let told: Vec<_> =
            other.generations().into_iter().map(|one| (one.number, one.origin, one.standing)).collect();
        let expected = [
            (1, Why::Start, Standing::Replaced),
            (2, Why::Command, Standing::Replaced),
            (3, Why::Upgrade, Standing::Serving),
        ];
        assert_eq!(told, expected);
        assert_eq!(target(&other, None), Some((2, origin("2"))));
    }

    #[test]
    fn ways_back_lead_through_all_that_is_kept() {
        let mut history = History::new(origin("1"), SystemTime::UNIX_EPOCH);
        for _ in 0..20 {
            push(&mut history, Why::Command, None);
        }
        for configuration in (12..=20).rev() {
            assert_eq!(target(&history, None).map(|(number, _)| number), Some(configuration));
            push(&mut history, Why::Rollback, Some(configuration));
        }
        assert_eq!(target(&history, None), None);
        for _ in 0..100 {
            push(&mut history, Why::Rollback, Some(20));
            push(&mut history, Why::Rollback, Some(12));
        }
        assert_eq!(history.generations().len(), MOST);
    }

    #[test]
    fn the_last_ten_are_kept() {
        let mut history = History::new(origin("1"), SystemTime::UNIX_EPOCH);
        for _ in 0..20 {
            push(&mut history, Why::Signal, None);
        }
        let numbers: Vec<_> = history.generations().iter().map(|one| one.number).collect();
        assert_eq!(numbers, (12..=21).collect::<Vec<_>>());
        let missing = history.find(Some(11)).unwrap_err().to_string();
        assert_eq!(missing, "no generation 11 is kept\n  help: there are 12 to 21; see `evener history`");
    }
}
