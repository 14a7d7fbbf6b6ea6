use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::document::{Document, Part};
use super::include::IncludedText;
use super::node::Node;
use super::{Diagnostics, KeyPath, Place, Position, recover, syntax};

/// The texts of a configuration, in which every value can be found and read by its key path.
#[derive(Clone, Debug)]
pub struct Source {
    file: String,
    /// The main file, and those that it includes.
    documents: Vec<Document>,
    /// Entries that are not of the main file: which document they stand in, and where there.
    included: HashMap<KeyPath, (usize, KeyPath)>,
    root: Node,
}

impl Source {
    /// Reads a text; `file` is how messages call it. What is not well-formed goes to `diagnostics`; keys that
    /// stand twice do too, but hinder nothing: the first one counts from then on.
    pub(crate) fn parse(file: &str, text: &str, diagnostics: &mut Diagnostics) -> Option<Self> {
        Self::parse_document(file, Document { file: None, text: text.to_owned() }, diagnostics)
    }

    /// As [`Self::parse`] for a text that another one includes.
    pub(super) fn parse_included(included: IncludedText, diagnostics: &mut Diagnostics) -> Option<Self> {
        let IncludedText { file, text } = included;
        Self::parse_document(&file, Document { file: Some(file.as_str().into()), text }, diagnostics)
    }

    fn parse_document(file: &str, document: Document, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut root = match Node::parse(&document.text) {
            Ok(root) => root,
            Err(error) => {
                let mut diagnostic = syntax::explain(&error, &document.text);
                diagnostic.file = document.file;
                diagnostics.push(diagnostic);
                return None;
            }
        };
        let mut repeated = Vec::new();
        root.take_repeated_keys(&KeyPath::default(), &mut repeated);
        let source =
            Self { file: file.to_owned(), documents: vec![document], included: HashMap::new(), root };
        for (path, occurrence) in &repeated {
            source.report_repeated(path, *occurrence, diagnostics);
        }
        Some(source)
    }

    /// What messages call the main file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// All of the main file.
    pub(super) fn text(&self) -> &str {
        &self.documents[0].text
    }

    /// The texts that were added to it, in their order.
    pub(crate) fn included(&self) -> Vec<IncludedText> {
        let texts = self.documents.iter().filter_map(|document| {
            Some(IncludedText { file: document.file.as_deref()?.to_owned(), text: document.text.clone() })
        });
        texts.collect()
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    pub(super) fn root_mut(&mut self) -> &mut Node {
        &mut self.root
    }

    /// Reads the value at `path` into `T`. One that is not there, or is empty, is read as an empty map.
    ///
    /// This is how filters and policies read their settings.
    ///
    /// # Errors
    /// All problems of the value at once.
    pub fn read_at<T: DeserializeOwned>(&self, path: &KeyPath) -> Result<T, Diagnostics> {
        let mut diagnostics = Diagnostics::new(&self.file);
        let absent = Node::ABSENT;
        let node = self.root.at(path).unwrap_or(&absent);
        let read = recover::read(node, path, self, |_| None, &mut diagnostics);
        match read.value {
            Some(value) if !diagnostics.has_errors() => Ok(value),
            _ => Err(diagnostics),
        }
    }

    /// Where the value at `path`, or its key, begins; where there is none, the closest value around it. Costs a
    /// reading of the whole text.
    pub(super) fn place_of(&self, path: &KeyPath, part: Part) -> Place {
        let (document, there) = self.find(path);
        self.documents[document].place_of(&there, part)
    }

    /// In which of the texts a value stands, and where there.
    pub(super) fn find(&self, path: &KeyPath) -> (usize, KeyPath) {
        let segments = path.segments();
        let entry = segments.get(..2).map(|entry| KeyPath::from(entry.to_vec()));
        match entry.and_then(|entry| self.included.get(&entry)) {
            Some((document, there)) => {
                let there = segments[2..].iter().fold(there.clone(), |path, step| path.join(step.clone()));
                (*document, there)
            }
            None => (0, path.clone()),
        }
    }

    /// The main text, and those that were added to it.
    pub(super) fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Where the key at the end of `path` stands, or what is closest around it: the file, unless it is the main one, and
    /// the place there.
    pub(crate) fn locate(&self, path: &KeyPath) -> (Option<Arc<str>>, Option<Position>) {
        let Place { file, position } = self.place_of(path, Part::Key);
        (file, position)
    }

    fn report_repeated(&self, path: &KeyPath, occurrence: usize, diagnostics: &mut Diagnostics) {
        let diagnostic = diagnostics.error_at_key(self, path, "the key stands here twice");
        diagnostic.position = self.documents[0].place_of_repeat(path, Part::Key, occurrence).position;
        if let Some(first) = self.place_of(path, Part::Key).position {
            diagnostic
                .help(format_args!("it stands in line {} already; join them, or remove one", first.line));
        }
    }

    /// Adds the entries of an included text: names to the maps, items behind those of the lists. A name that is
    /// known is an error and passed over, and so are keys of which something is `wrong`.
    pub(super) fn add(&mut self, other: Self, wrong: &[KeyPath], diagnostics: &mut Diagnostics) {
        let document = self.documents.len();
        self.documents.extend(other.documents);
        let Node::Map(sections) = other.root else { return };
        for (section, entries) in sections {
            match entries {
                _ if wrong.contains(&KeyPath::default().child(section.as_str())) => {}
                Node::Map(entries) => self.add_names(&section, entries, document, diagnostics),
                Node::List(items) => self.add_items(&section, items, document),
                Node::Scalar(_) | Node::Removed => {}
            }
        }
    }

    fn add_names(
        &mut self,
        section: &str,
        entries: Vec<(String, Node)>,
        document: usize,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(Node::Map(known)) = self.section(section, Node::Map(Vec::new())) else { return };
        let names: HashSet<String> = known.iter().map(|(name, _)| name.clone()).collect();
        let (twice, new): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| names.contains(name));
        let paths = |entries: &[(String, Node)]| -> Vec<KeyPath> {
            let section = KeyPath::default().child(section);
            entries.iter().map(|(name, _)| section.child(name.as_str())).collect()
        };
        let added = paths(&new);
        known.extend(new);
        self.included.extend(added.into_iter().map(|path| (path.clone(), (document, path))));
        for path in paths(&twice) {
            self.report_twice(&path, document, diagnostics);
        }
    }

    fn add_items(&mut self, section: &str, items: Vec<Node>, document: usize) {
        let Some(Node::List(known)) = self.section(section, Node::List(Vec::new())) else { return };
        let (before, count) = (known.len(), items.len());
        known.extend(items);
        let section = KeyPath::default().child(section);
        let places = (0..count).map(|item| (section.index(before + item), (document, section.index(item))));
        self.included.extend(places);
    }

    /// The value of a key at the top, which is there from then on. One that is wrong stays what it is.
    fn section(&mut self, name: &str, empty: Node) -> Option<&mut Node> {
        let Node::Map(sections) = &mut self.root else { return None };
        let place = match sections.iter().position(|(known, _)| known == name) {
            Some(place) => place,
            None => {
                sections.push((name.to_owned(), empty.clone()));
                sections.len() - 1
            }
        };
        let section = &mut sections[place].1;
        // `pools:` without a value is an empty map, though never an empty list.
        if section.is_null() && matches!(empty, Node::Map(_)) {
            *section = empty;
        }
        Some(section)
    }

    /// Reports a name of an included text that stands in another one already.
    fn report_twice(&self, path: &KeyPath, document: usize, diagnostics: &mut Diagnostics) {
        let Place { file, position } = self.documents[document].place_of(path, Part::Key);
        let diagnostic = diagnostics.error_at_key(self, path, "the name is taken");
        (diagnostic.file, diagnostic.position) = (file, position);
        let Place { file, position } = self.place_of(path, Part::Key);
        let file = file.as_deref().unwrap_or(&self.file);
        let line = position.map_or(String::new(), |Position { line, column }| format!(":{line}:{column}"));
        diagnostic.help(format_args!("it stands in {file}{line} already; give one of them another name"));
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn source(text: &str) -> Source {
        let mut diagnostics = Diagnostics::new("x.yaml");
        let source = Source::parse("x.yaml", text, &mut diagnostics).unwrap();
        assert!(!diagnostics.has_errors(), "{diagnostics}");
        source
    }

    fn place(text: &str, path: &KeyPath, part: Part) -> (usize, usize) {
        let position = source(text).place_of(path, part).position.unwrap();
        (position.line, position.column)
    }

    #[test]
    fn finds_keys_values_and_items() {
        let text =
            "pools:\n  api: { endpoints: [a, b] }\nroutes:\n  - pool: api\n  - name: x\n    pool: \"y\"\n";
        let root = KeyPath::default();
        let pool = root.child("routes").index(1).child("pool");
        assert_eq!(place(text, &pool, Part::Key), (6, 5));
        assert_eq!(place(text, &pool, Part::Value), (6, 11));
        assert_eq!(
            place(text, &root.child("pools").child("api").child("endpoints").index(1), Part::Value),
            (2, 25)
        );
        assert_eq!(place(text, &root.child("routes").index(1), Part::Key), (5, 5));
        assert_eq!(place(text, &root, Part::Value), (1, 1));
    }

    #[test]
    fn falls_back_to_the_closest_value_around() {
        let text = "a:\n  b: 1\nc: [1]\n";
        let root = KeyPath::default();
        assert_eq!(place(text, &root.child("a").child("missing").child("x"), Part::Key), (2, 3));
        assert_eq!(place(text, &root.child("a").child("b").child("x"), Part::Value), (2, 6));
        assert_eq!(place(text, &root.child("c").index(7), Part::Value), (3, 4));
        assert_eq!(place(text, &root.child("nowhere"), Part::Value), (1, 1));
    }

    #[test]
    fn a_value_behind_an_alias_stands_where_it_is_written() {
        let text = "x: &shared { deep: 1 }\ny: *shared\n";
        let deep = KeyPath::default().child("y").child("deep");
        assert_eq!(place(text, &deep, Part::Value), (1, 20));
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        size: u8,
        rate: Option<crate::types::Rate>,
    }

    #[test]
    fn settings_are_read_with_all_their_problems() {
        let text = "f:\n  size: 300\n  rate: 5\n  other: 1\ng:\nh: {rate: 5/s}\n";
        let source = source(text);
        let problems = source.read_at::<Settings>(&KeyPath::default().child("f")).unwrap_err().to_string();
        assert_eq!(
            problems,
            "x.yaml:2:9: f.size: found the number `300`, expected a whole number, 0 to 255\n\
             x.yaml:3:9: f.rate: `5` is not a rate; write COUNT/PERIOD, like 100/s or 600/m\n\
             x.yaml:4:3: f.other: unknown key `other`\n  help: allowed: size, rate\n"
        );
        let empty = Settings { size: 0, rate: None };
        assert_eq!(source.read_at::<Settings>(&KeyPath::default().child("g")).unwrap(), empty);
        assert_eq!(source.read_at::<Settings>(&KeyPath::default().child("nowhere")).unwrap(), empty);
        let rate = source.read_at::<Settings>(&KeyPath::default().child("h")).unwrap().rate.unwrap();
        assert_eq!(rate.to_string(), "5/s");
    }
}
