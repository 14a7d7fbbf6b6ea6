//! Writes weights into the texts of a configuration, and leaves everything else in them as it is: comments, order, layout.
//!
//! serde_yaml tells where a value begins and nothing more, so a value is changed only where it stands there as it reads,
//! plain or in quotes. And each text is read again: it has to say what it said, but for the weights that were to change. So
//! what is written in a way that was not thought of, or stands behind an alias that others share, is left and told about.

mod splice;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::document::{Document, Part};
use super::node::{Kind, Node, Scalar};
use super::{Config, Diagnostics, IncludedText, KeyPath, Outline, Position, Source};
use splice::{Lines, Splice, apply};

/// A weight that is to stand in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WeightEdit {
    /// The endpoint, or the pool of a split, whose weight it is.
    pub(crate) at: KeyPath,
    pub(crate) weight: u16,
}

/// The texts of a configuration with other weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) text: String,
    pub(crate) included: Vec<IncludedText>,
    /// What could not be written.
    pub(crate) left: Vec<Unwritten>,
}

/// A weight that could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unwritten {
    /// The file, line and column.
    place: String,
    at: KeyPath,
    weight: u16,
    why: Obstacle,
}

/// Why a weight cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Obstacle {
    #[error("it is written in a form that is not changed by a program")]
    Form,
    #[error("something else would change with it, as where an alias (`*`) stands for it")]
    Shared,
}

/// The key that a weight belongs beside.
const BESIDE: [&str; 2] = ["address", "pool"];
const WEIGHT: &str = "weight";

/// The texts of `source`, with these weights.
pub(crate) fn write_weights(source: &Source, edits: &[WeightEdit]) -> Edited {
    let mut texts = Vec::new();
    let mut left = Vec::new();
    for (index, document) in source.documents().iter().enumerate() {
        let of_this = |edit: &&WeightEdit| source.find(&edit.at).0 == index;
        let wanted: Vec<_> = edits.iter().filter(of_this).collect();
        let paths: Vec<_> = wanted.iter().map(|edit| source.find(&edit.at).1).collect();
        let mut draft = Draft::new(document);
        let written =
            draft.write(wanted.iter().zip(&paths).map(|(edit, path)| (path, edit.weight)).collect());
        for (edit, why) in wanted.iter().zip(written).filter_map(|(edit, done)| Some((edit, done.err()?))) {
            let place = place_of_weight(source, &edit.at);
            left.push(Unwritten { place, at: edit.at.clone(), weight: edit.weight, why });
        }
        texts.push((document.file.clone(), draft.text));
    }
    let mut texts = texts.into_iter();
    let text = texts.next().map(|(_, text)| text).unwrap_or_default();
    let included = texts.filter_map(|(file, text)| Some(IncludedText { file: file?.to_string(), text }));
    Edited { text, included: included.collect(), left }
}

/// What `source` says with these weights, whether they can be written or not.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn outline_with(
    config: &Config,
    source: &Source,
    edits: &[WeightEdit],
) -> Result<Outline, Diagnostics> {
    if edits.is_empty() {
        return Outline::of(config, source);
    }
    let mut source = source.clone();
    for WeightEdit { at, weight } in edits {
        if let Some(entry) = source.root_mut().at_mut(at.segments()) {
            *entry = weighted(entry, *weight);
        }
    }
    Outline::of(config, &source)
}

/// The file, line and column of an endpoint, or a pool of a split.
pub(crate) fn place_of_weight(source: &Source, at: &KeyPath) -> String {
    let place = source.place_of(at, Part::Value);
    let file = place.file.as_deref().unwrap_or(source.file());
    match place.position {
        Some(Position { line, column }) => format!("{file}:{line}:{column}"),
        None => file.to_owned(),
    }
}

/// One text on its way to other weights.
struct Draft<'d> {
    document: &'d Document,
    /// None where the text has nothing to be changed.
    root: Option<Node>,
    lines: Lines<'d>,
    text: String,
}

/// What is to be changed of a text, and what it says then.
struct Step<'p> {
    splice: Splice,
    at: &'p KeyPath,
    entry: Node,
}

impl<'d> Draft<'d> {
    fn new(document: &'d Document) -> Self {
        Self {
            document,
            root: Node::parse(&document.text).ok(),
            lines: Lines::of(&document.text),
            text: document.text.clone(),
        }
    }

    /// Writes as many of them as can be, and says of each whether it was.
    fn write(&mut self, wanted: Vec<(&KeyPath, u16)>) -> Vec<Result<(), Obstacle>> {
        let steps: Vec<_> = wanted.into_iter().map(|(at, weight)| self.step(at, weight)).collect();
        let all: Vec<_> = steps.iter().filter_map(|step| step.as_ref().ok()).collect();
        if let Ok(text) = self.with(&all) {
            self.text = text;
            return steps.iter().map(|step| step.as_ref().map(|_| ()).map_err(|why| *why)).collect();
        }
        let mut taken = Vec::new();
        let mut one = |step| self.take(&mut taken, step);
        steps.iter().map(|step| step.as_ref().map_err(|why| *why).and_then(&mut one)).collect()
    }

    /// Takes one more step, if it changes nothing else.
    fn take<'s, 'p>(&mut self, taken: &mut Vec<&'s Step<'p>>, step: &'s Step<'p>) -> Result<(), Obstacle> {
        taken.push(step);
        let text = self.with(taken);
        if text.is_err() {
            taken.pop();
        }
        self.text = text?;
        Ok(())
    }

    /// The text after these steps, if it says what it is to say.
    fn with(&self, steps: &[&Step<'_>]) -> Result<String, Obstacle> {
        let mut expected = self.root.clone().ok_or(Obstacle::Form)?;
        for step in steps {
            *expected.at_mut(step.at.segments()).ok_or(Obstacle::Form)? = step.entry.clone();
        }
        // Only behind an alias do two weights have one place.
        let text = apply(&self.document.text, steps.iter().map(|step| &step.splice));
        let text = text.ok_or(Obstacle::Shared)?;
        let found = Node::parse(&text).map_err(|_| Obstacle::Form)?;
        if found == expected {
            return Ok(text);
        }
        // Where each is as it is to be, something else is not.
        let is_done = |step: &&Step<'_>| found.at(step.at).is_some_and(|entry| *entry == step.entry);
        Err(if steps.iter().all(is_done) { Obstacle::Shared } else { Obstacle::Form })
    }

    fn step<'p>(&self, at: &'p KeyPath, weight: u16) -> Result<Step<'p>, Obstacle> {
        let entry = self.root.as_ref().and_then(|root| root.at(at)).ok_or(Obstacle::Form)?;
        let splice = match entry {
            Node::Scalar(address) => self.around(at, address, weight),
            Node::Map(entries) => match value_of(entries, WEIGHT) {
                Some(known) => self.instead_of(&at.child(WEIGHT), known, weight),
                None => self.beside(at, entries, weight),
            },
            Node::List(_) | Node::Removed => None,
        };
        Ok(Step { splice: splice.ok_or(Obstacle::Form)?, at, entry: weighted(entry, weight) })
    }

    /// `ADDRESS` becomes `{ address: ADDRESS, weight: 3 }`.
    fn around(&self, at: &KeyPath, address: &Scalar, weight: u16) -> Option<Splice> {
        let place = self.find(at, Part::Value)?;
        let token = self.lines.token(place, &address.text)?;
        let written = &self.document.text[token.clone()];
        // What ends a plain text in a map of braces need not end it where it stands now.
        let is_plain = !written.starts_with(['\'', '"']);
        let address = match is_plain && written.contains([',', '[', ']', '{', '}']) {
            true => format!("'{}'", written.replace('\'', "''")),
            false => written.to_owned(),
        };
        let [key, own] = ["address", WEIGHT].map(|key| self.spelt(key));
        Some(Splice { at: token, with: format!("{{ {key}: {address}, {own}: {weight} }}") })
    }

    fn instead_of(&self, at: &KeyPath, known: &Node, weight: u16) -> Option<Splice> {
        let Node::Scalar(known) = known else { return None };
        let place = self.find(at, Part::Value)?;
        Some(Splice { at: self.lines.token(place, &known.text)?, with: weight.to_string() })
    }

    /// Behind the address, or the name of the pool: on a line of its own where each key has one.
    fn beside(&self, at: &KeyPath, entries: &[(String, Node)], weight: u16) -> Option<Splice> {
        let key = BESIDE.into_iter().find(|key| value_of(entries, key).is_some())?;
        let Some(Node::Scalar(known)) = value_of(entries, key) else { return None };
        let end = self.lines.token(self.find(&at.child(key), Part::Value)?, &known.text)?.end;
        let map = self.lines.offset(self.find(at, Part::Value)?)?;
        if self.document.text[map..].starts_with('{') {
            return Some(Splice { at: end..end, with: format!(", {}: {weight}", self.spelt(WEIGHT)) });
        }
        let column = self.find(&at.child(key), Part::Key)?.column;
        let (end, line_break) = self.lines.end_of_line(end);
        let indent = " ".repeat(column - 1);
        Some(Splice { at: end..end, with: format!("{line_break}{indent}{WEIGHT}: {weight}") })
    }

    fn find(&self, at: &KeyPath, part: Part) -> Option<Position> {
        self.document.place_of(at, part).position
    }

    /// A key as it is written in braces: in a file that is JSON, in quotes.
    fn spelt(&self, key: &str) -> String {
        if self.document.text.trim_start().starts_with('{') { format!("\"{key}\"") } else { key.to_owned() }
    }
}

fn value_of<'n>(entries: &'n [(String, Node)], key: &str) -> Option<&'n Node> {
    entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

/// An endpoint, or a pool of a split, with another weight.
fn weighted(entry: &Node, weight: u16) -> Node {
    let kind = Kind::Unsigned(weight.into());
    let weight = || Node::Scalar(Scalar { kind, text: weight.to_string() });
    let Node::Map(entries) = entry else {
        return Node::Map(vec![("address".to_owned(), entry.clone()), (WEIGHT.to_owned(), weight())]);
    };
    let mut entries = entries.clone();
    match entries.iter_mut().find(|(key, _)| key == WEIGHT) {
        Some((_, value)) => *value = weight(),
        None => {
            let beside = entries.iter().position(|(key, _)| BESIDE.contains(&key.as_str()));
            entries.insert(beside.map_or(0, |place| place + 1), (WEIGHT.to_owned(), weight()));
        }
    }
    Node::Map(entries)
}

/// `evener.yaml:7:11: pools.app.endpoints[0]: weight 0 cannot be written: …`
impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, at, weight, why } = self;
        write!(f, "{place}: {at}: the weight {weight} cannot be written: {why}")
    }
}

#[cfg(test)]
mod tests;
