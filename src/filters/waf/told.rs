use http::Extensions;

use super::{WafVerdict, WafWord};

/// How the line begins of the rule that [`sources`](super::sources) adds: nothing was compared.
const SCORE_LINE: &str = "ModSecurity: Warning.  [file ";
/// What that rule says.
const SCORE: &str = "[msg \"anomaly score ";
/// What the Core Rule Set says when it refuses.
const TOTAL: &str = "(Total Score: ";

impl WafVerdict {
    /// So many rules are told.
    const MOST: usize = 8;

    /// Reads the lines that rules have logged and what was said by the one that refused.
    ///
    /// Both quote the request, and a client that writes what the engine would can have a wrong rule be told. Not so a wrong
    /// score of a request that was not refused: the line that has it begins with what no other line begins with.
    pub(super) fn read(refusal: Option<&str>, told: &[String], wants_block: impl Fn(u32) -> bool) -> Self {
        let lines = || told.iter().map(String::as_str).chain(refusal);
        let mut rules = Vec::new();
        for id in lines().filter_map(id_of).filter(|&id| is_about_request(id)) {
            if rules.len() < Self::MOST && !rules.contains(&id) {
                rules.push(id);
            }
        }
        let told_score = || told.iter().find_map(|line| number_after(line.strip_prefix(SCORE_LINE)?, SCORE));
        let score = refusal.map_or_else(told_score, |refusal| number_after(refusal, TOTAL));
        let word = match refusal {
            Some(_) => WafWord::Blocked,
            None if score.is_some_and(wants_block) => WafWord::WouldBlock,
            None => WafWord::Passed,
        };
        Self { word, score, rules }
    }

    /// Whether there is anything to tell.
    pub(super) fn is_silent(&self) -> bool {
        self.word == WafWord::Passed && self.rules.is_empty()
    }

    pub(super) fn record(self, extensions: &mut Extensions) {
        if extensions.get::<Self>().is_none_or(|known| *known < self) {
            extensions.insert(self);
        }
    }
}

/// The number of the rule that logged a line. It stands behind the name of the rule's file.
fn id_of(line: &str) -> Option<u32> {
    let file = line.find("[file \"")?;
    number_after(&line[file..], "[id \"")
}

fn number_after(line: &str, words: &str) -> Option<u32> {
    let (_, rest) = line.split_once(words)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

/// Whether a rule says something of the request, and does not only sum up what others did.
fn is_about_request(id: u32) -> bool {
    !counts_score(id) && !matches!(id, 959_000..=959_999 | 980_000..=980_999)
}

/// Whether a rule tells the score: that of our own, or those of the Core Rule Set that refuse by it.
fn counts_score(id: u32) -> bool {
    matches!(id, 99_919 | 949_000..=949_999)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORED: &str = "ModSecurity: Warning.  [file \"<<reference missing or not informed>>\"] [line \"2\"] [id \"99919\"] \
                          [rev \"\"] [msg \"anomaly score 3 of \"] [data \"\"] [uri \"/\"]";

    fn line(id: u32, message: &str) -> String {
        format!(
            "ModSecurity: Warning. Matched \"Operator `Rx'\" against `ARGS:q' (Value: `[id \"7\"]' ) [file \"/a.conf\"] \
             [line \"46\"] [id \"{id}\"] [rev \"\"] [msg \"{message}\"] [data \"[id \"8\"]\"] [uri \"/[msg \"anomaly score 0\"]\"]"
        )
    }

    #[test]
    fn what_rules_say_is_read() {
        let told = [line(942_100, "SQL"), line(942_100, "SQL"), line(941_110, "XSS")];
        let total = line(949_110, "Inbound Anomaly Score Exceeded (Total Score: 15)");
        let verdict = WafVerdict::read(Some(&total), &told, |score| score >= 5);
        assert_eq!(
            verdict,
            WafVerdict { word: WafWord::Blocked, score: Some(15), rules: vec![942_100, 941_110] }
        );
        assert!(!verdict.is_silent());
    }

    #[test]
    fn a_score_that_would_be_too_much_is_told() {
        let told = [line(99_919, "anomaly score 0 of "), line(920_350, "Host"), SCORED.to_owned()];
        let read = |threshold| WafVerdict::read(None, &told, move |score| score >= threshold);
        assert_eq!((read(3).word, read(3).score), (WafWord::WouldBlock, Some(3)));
        assert_eq!((read(4).word, read(4).is_silent()), (WafWord::Passed, false));
        assert!(WafVerdict::read(None, &told[2..], |score| score >= 4).is_silent());
    }

    #[test]
    fn the_worst_is_kept_and_eight_rules_are_told() {
        let told: Vec<_> = (1..=20).map(|id| line(id, "")).collect();
        let worst = WafVerdict::read(Some(""), &told, |_| false);
        assert_eq!(worst.rules, [1, 2, 3, 4, 5, 6, 7, 8]);
        let mut extensions = Extensions::new();
        worst.clone().record(&mut extensions);
        WafVerdict::read(None, &told, |_| false).record(&mut extensions);
        assert_eq!(extensions.get(), Some(&worst));
    }
}
