use serde::de::DeserializeOwned;

use crate::types::closest;

use super::fault::{Culprit, Fault, FaultKind, shorten};
use super::node::{Node, Scalar};
use super::node_deserializer::NodeDeserializer;
use super::{Diagnostic, Diagnostics, KeyPath, Segment, Source};

/// What could be read, and what had to be left out for it.
#[derive(Debug)]
pub(super) struct Recovered<T> {
    /// `None` when nothing could be made of the whole.
    pub(super) value: Option<T>,
    /// Where something was left out, after it was reported.
    pub(super) removed: Vec<KeyPath>,
}

/// Tells where a key belongs that is unknown at a path.
type Elsewhere = fn(&KeyPath) -> Option<String>;

/// Enough for anyone to see what is wrong.
const MAX_PROBLEMS: usize = 100;

/// Reads `node`, which stands at `base`, and reports **all** of its problems: each one is taken out of the tree
/// and the rest is read again. What is only the consequence of such a removal is not reported.
pub(super) fn read<T: DeserializeOwned>(
    node: &Node,
    base: &KeyPath,
    source: &Source,
    elsewhere: Elsewhere,
    diagnostics: &mut Diagnostics,
) -> Recovered<T> {
    let mut read = T::deserialize(NodeDeserializer(node));
    if let Ok(value) = read {
        return Recovered { value: Some(value), removed: Vec::new() };
    }
    let node = node.clone();
    let mut recovery = Recovery { node, base, source, elsewhere, removed: Vec::new(), meant: Vec::new() };
    loop {
        let fault = match read {
            Ok(value) => return Recovered { value: Some(value), removed: recovery.removed },
            Err(fault) => fault,
        };
        if diagnostics.len() >= MAX_PROBLEMS {
            diagnostics.push(Diagnostic::error(None, "there are more problems; these are the first hundred"));
            return Recovered { value: None, removed: recovery.removed };
        }
        if !recovery.take_out(fault, diagnostics) {
            return Recovered { value: None, removed: recovery.removed };
        }
        read = T::deserialize(NodeDeserializer(&recovery.node));
    }
}

struct Recovery<'a> {
    node: Node,
    base: &'a KeyPath,
    source: &'a Source,
    elsewhere: Elsewhere,
    /// Also what misspelt keys were meant to be, since that is missing for the same reason.
    removed: Vec<KeyPath>,
    /// Keys that unknown ones were probably meant to be; those are not missing, too.
    meant: Vec<KeyPath>,
}

impl Recovery<'_> {
    /// Reports a fault and removes what it is about; false when that is all there is.
    fn take_out(&mut self, fault: Fault, diagnostics: &mut Diagnostics) -> bool {
        let inner = fault.path(&KeyPath::default());
        if !self.is_consequence(&fault, &inner) {
            self.report(fault, &inner, diagnostics);
        }
        let mut segments = inner.segments();
        loop {
            match self.node.at_mut(segments) {
                Some(node) if *node != Node::Removed && !segments.is_empty() => {
                    *node = Node::Removed;
                    self.removed.push(self.outer(segments));
                    return true;
                }
                _ => {}
            }
            let Some((_, around)) = segments.split_last() else { return false };
            segments = around;
        }
    }

    fn is_consequence(&self, fault: &Fault, inner: &KeyPath) -> bool {
        if fault.culprit == Culprit::Key {
            return false;
        }
        match fault.kind {
            FaultKind::MissingKey(key) => {
                let missing = inner.child(key);
                self.node.at(&missing) == Some(&Node::Removed) || self.meant.contains(&missing)
            }
            _ => self.node.at(inner).is_some_and(Node::has_removed_child),
        }
    }

    fn report(&mut self, fault: Fault, inner: &KeyPath, diagnostics: &mut Diagnostics) {
        let at_key = fault.culprit == Culprit::Key || matches!(fault.kind, FaultKind::MissingKey(_));
        self.remember_what_was_meant(&fault, inner);
        let written = self.written(&fault, inner);
        let path = self.outer(inner.segments());
        let elsewhere = match &fault.kind {
            FaultKind::UnknownKey { .. } => (self.elsewhere)(&path),
            _ => None,
        };
        let rule = fault.rule();
        let (message, help) = fault.describe();
        let message = written.map_or(message.clone(), |text| message.replace(&text, &shorten(&text)));
        let diagnostic = if at_key {
            diagnostics.error_at_key(self.source, &path, message)
        } else {
            diagnostics.error(self.source, &path, message)
        };
        diagnostic.help = join_help(help, elsewhere);
        diagnostic.rule = rule;
    }

    fn remember_what_was_meant(&mut self, fault: &Fault, inner: &KeyPath) {
        let FaultKind::UnknownKey { found, allowed } = &fault.kind else { return };
        let Some((_, around)) = inner.segments().split_last() else { return };
        if let Some(near) = closest(found, allowed.iter().copied()) {
            self.meant.push(KeyPath::from(around.to_vec()).child(near));
            self.removed.push(self.outer(around).child(near));
        }
    }

    /// The text that the fault is about, when it must not be shown as it is.
    fn written(&self, fault: &Fault, inner: &KeyPath) -> Option<String> {
        let text = match (fault.culprit, inner.segments().last(), self.node.at(inner)) {
            (Culprit::Key, Some(Segment::Key(key)), _) => key,
            (Culprit::Value, _, Some(Node::Scalar(Scalar { text, .. }))) => text,
            _ => return None,
        };
        (shorten(text) != *text).then(|| text.clone())
    }

    fn outer(&self, segments: &[Segment]) -> KeyPath {
        segments.iter().fold(self.base.clone(), |path, segment| path.join(segment.clone()))
    }
}

/// A likely spelling and a likely place can both be what was meant; the list of all keys says less than a place.
fn join_help(help: Option<String>, elsewhere: Option<String>) -> Option<String> {
    match (help, elsewhere) {
        (Some(help), Some(elsewhere)) if help.starts_with("did you mean") => {
            Some(format!("{help} {elsewhere}"))
        }
        (_, Some(elsewhere)) => Some(elsewhere),
        (help, None) => help,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::config::spec::NamedMap;
    use crate::types::{PoolName, Span, Weight};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "most fields are there to be read wrongly")]
    struct Thing {
        weight: Weight,
        #[serde(default)]
        spans: Vec<Span>,
        #[serde(default)]
        mode: Mode,
        #[serde(default)]
        pair: Option<(u8, u8)>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        #[default]
        Fast,
        Slow(Span),
    }

    type Things = NamedMap<PoolName, Thing>;

    fn read_things(text: &str) -> (Recovered<Things>, String) {
        let mut diagnostics = Diagnostics::new("x");
        let source = Source::parse("x", text, &mut diagnostics).unwrap();
        let root = source.root().clone();
        let read = read(&root, &KeyPath::default(), &source, |_| None, &mut diagnostics);
        (read, diagnostics.to_string())
    }

    fn problems(text: &str) -> String {
        read_things(text).1
    }

    #[test]
    fn all_problems_are_found_at_their_own_places() {
        let text = "a: { weight: 1001, spans: [1s, 5, 2s, x] }\nb: { weight: 1, wait: 2 }\nc: 7\n";
        let (read, problems) = read_things(text);
        assert_eq!(
            problems,
            "x:1:14: a.weight: `1001` is not a weight; a weight is a whole number, 0 to 1000\n\
             x:1:32: a.spans[1]: `5` is not a duration; the unit is missing: write ms, s, m or h after the number, like 5s\n\
             x:1:39: a.spans[3]: `x` is not a duration; write whole numbers with their units, like 250ms, 5s, 1m 30s or 1h\n\
             x:2:17: b.wait: unknown key `wait`\n  help: allowed: weight, spans, mode, pair\n\
             x:3:4: c: found the number `7`, expected a map of weight, spans, mode, pair\n"
        );
        assert_eq!(read.value.unwrap().len(), 1);
    }

    #[test]
    fn a_removed_key_is_not_missing_and_neither_is_a_misspelt_one() {
        assert_eq!(problems("a: { weight: heavy }").lines().count(), 1);
        assert_eq!(
            problems("a: { wieght: 1 }"),
            "x:1:6: a.wieght: unknown key `wieght`\n  help: did you mean `weight`?\n"
        );
        assert_eq!(problems("a: { x: 1 }").lines().count(), 3);
    }

    #[test]
    fn enums_with_values_are_maps_with_one_key() {
        let mode = |text: &str| {
            let (read, problems) = read_things(&format!("a: {{ weight: 1, mode: {text} }}"));
            assert_eq!(problems, "");
            let (_, thing) = read.value.unwrap().into_iter().next().unwrap();
            thing.mode
        };
        assert_eq!(mode("fast"), Mode::Fast);
        assert_eq!(mode("{ slow: 5s }"), Mode::Slow(Span::from_secs(5)));
        let bad = |text: &str| problems(&format!("a: {{ weight: 1, mode: {text} }}"));
        assert_eq!(bad("{ slow: 5 }").lines().count(), 1);
        assert!(bad("{ slow: 5s, fast: 1 }").contains("`slow` and `fast` stand here together"));
        assert!(
            bad("{ slwo: 5s }")
                .contains("x:1:25: a.mode.slwo: unknown key `slwo`\n  help: did you mean `slow`?")
        );
        assert!(bad("[fast]").contains("found a list, expected one of fast, slow"));
        assert!(bad("slow").contains("a map of that name and its value"), "{}", bad("slow"));
    }

    #[test]
    fn lists_of_a_fixed_length_are_checked() {
        assert!(problems("a: { weight: 1, pair: [1, 2, 3] }").contains("found 3 values, expected 2 values"));
        assert!(problems("a: { weight: 1, pair: [1] }").contains("found 1 values"));
    }

    #[test]
    fn a_bad_name_is_reported_at_the_key() {
        let text = "a b: { weight: 1 }\nc: { weight: 1 }\n";
        let (read, problems) = read_things(text);
        assert!(problems.starts_with("x:1:1: \"a b\": `a b` is not a name"), "{problems}");
        assert_eq!(read.removed, [KeyPath::default().child("a b")]);
        assert_eq!(read.value.unwrap().len(), 1);
    }

    #[test]
    fn long_values_are_not_shown_whole() {
        let secret = "0123456789".repeat(20);
        let problems = problems(&format!("a: {{ weight: {secret}x }}"));
        assert!(!problems.contains(&secret) && problems.contains('…'), "{problems}");
    }

    #[test]
    fn a_hundred_problems_are_enough() {
        let text: String = (0..150).map(|n| format!("n{n}: 1\n")).collect();
        let problems = problems(&text);
        assert_eq!(problems.lines().count(), 101);
        assert!(problems.contains("the first hundred"));
    }
}
