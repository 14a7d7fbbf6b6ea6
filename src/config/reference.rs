//! The reference of all keys, printed from the doc comments of the specs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::Schema;
use serde_json::Value;

use super::spec::Spec;

/// Settings that stand in the file but are described elsewhere: those of a filter or a policy.
#[derive(Clone, Debug)]
pub struct ReferenceSection {
    /// The heading: the filter's name.
    pub title: String,
    /// The schema of its settings.
    pub schema: Schema,
}

const INTRODUCTION: &str = "\
# Configuration reference

One YAML file, which may `include` others. A key that is not listed here, or that stands twice, is an error.

Durations are written with their unit (`250ms`, `5s`, `1m 30s`, `1h`), and so are sizes (`512B`, `32KiB`, `10MiB`) and
rates (`100/s`, `600/m`). Relative paths start at the directory of the file. A text that starts with `*`, `[`, `{`,
`@` or `%`, or that holds `: `, is put in quotes.
";

/// The reference as Markdown: a section for every map of the file, then the `extra` ones.
pub fn reference(extra: &[ReferenceSection]) -> String {
    let mut out = INTRODUCTION.to_owned();
    let spec = schemars::schema_for!(Spec);
    Writer::new(&spec, "").write_all("The file", &mut out);
    for section in extra {
        Writer::new(&section.schema, "").write_all(&section.title, &mut out);
    }
    out
}

/// Writes the sections of one schema, each map once, in the order in which they are met.
struct Writer<'s> {
    schema: &'s Value,
    /// The title of each definition that has one by now.
    titles: BTreeMap<&'s str, String>,
    /// Definitions that are mentioned and not written yet, the next one last.
    open: Vec<&'s str>,
    path: String,
}

impl<'s> Writer<'s> {
    fn new(schema: &'s Schema, path: &str) -> Self {
        Self { schema: schema.as_value(), titles: BTreeMap::new(), open: Vec::new(), path: path.to_owned() }
    }

    fn write_all(mut self, title: &str, out: &mut String) {
        self.write_section(title, self.schema, out);
        while let Some(name) = self.open.pop() {
            let title = self.titles.get(name).cloned().unwrap_or_default();
            self.path.clone_from(&title);
            let definition = &self.schema["$defs"][name];
            self.write_section(&format!("`{title}`"), definition, out);
        }
    }

    fn write_section(&mut self, title: &str, map: &'s Value, out: &mut String) {
        let _ = write!(out, "\n## {title}\n\n{}\n", text_of(map));
        let Some(properties) = map["properties"].as_object().filter(|properties| !properties.is_empty())
        else {
            return;
        };
        out.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        let met_before = self.open.len();
        for (key, value) in properties {
            let is_required =
                map["required"].as_array().is_some_and(|list| list.iter().any(|name| name == key));
            let (told, description) = split_default(&self.description(value));
            let default =
                if is_required { "**required**".to_owned() } else { default_of(value).unwrap_or(told) };
            let row = [self.kind(value, key), default, description];
            let [kind, default, description] = row.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(out, "| `{key}` | {kind} | {default} | {description} |");
        }
        self.open[met_before..].reverse();
    }

    /// What stands under a key, in words.
    fn kind(&mut self, value: &'s Value, key: &str) -> String {
        if let Some(name) = definition_name(value) {
            return self.kind_of_definition(name, key);
        }
        if let Some(choices) = choices(value) {
            return choices.join(" | ");
        }
        if let Some(alternatives) = value["anyOf"].as_array() {
            return self.alternatives(alternatives, key);
        }
        if let Some(title) = value["title"].as_str() {
            return with_example(title, value);
        }
        match type_of(value) {
            "array" => format!("list: {}", self.kind(&value["items"], &format!("{key}[]"))),
            "object" => self.kind_of_map(value, key),
            "integer" => whole_number(value),
            "number" => "a number".to_owned(),
            "boolean" => "`true` | `false`".to_owned(),
            _ => "a text".to_owned(),
        }
    }

    fn kind_of_definition(&mut self, name: &'s str, key: &str) -> String {
        let definition = &self.schema["$defs"][name];
        if definition["properties"].is_null()
            && !text_of(definition).is_empty()
            && type_of(definition) != "object"
        {
            return self.kind(definition, key);
        }
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        if !self.titles.contains_key(name) {
            self.titles.insert(name, path);
            self.open.push(name);
        }
        let title = self.titles.get(name).map_or("", String::as_str);
        format!("map: [{title}](#{})", anchor(title))
    }

    /// `null` is what optional keys may be as well, which goes without saying.
    fn alternatives(&mut self, alternatives: &'s [Value], key: &str) -> String {
        let mut told = alternatives.iter().filter(|value| type_of(value) != "null");
        match (told.next(), told.next()) {
            (Some(one), Some(many)) if many["items"] == *one => format!("{}, or a list", self.kind(one, key)),
            (Some(one), None) => self.kind(one, key),
            (Some(one), Some(other)) => format!("{}, or {}", self.kind(one, key), self.kind(other, key)),
            (None, _) => "nothing".to_owned(),
        }
    }

    fn kind_of_map(&mut self, value: &'s Value, key: &str) -> String {
        let values = &value["additionalProperties"];
        if !values.is_object() {
            return "map".to_owned();
        }
        let name = value["propertyNames"]["title"].as_str().unwrap_or("a name");
        format!("map by {name}: {}", self.kind(values, &format!("{key}.NAME")))
    }

    /// The doc comment, and those of the words that are allowed.
    fn description(&self, value: &Value) -> String {
        let mut text = text_of(value);
        let definition = definition_name(value).or_else(|| definition_name(&value["items"]));
        let choices = definition.and_then(|name| self.schema["$defs"][name]["oneOf"].as_array());
        for choice in choices.into_iter().flatten() {
            if let (Some(word), meaning) = (choice["const"].as_str(), text_of(choice)) {
                let _ = write!(text, " `{word}`: {meaning}");
            }
        }
        text
    }
}

fn definition_name(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// The words of an enum.
fn choices(value: &Value) -> Option<Vec<String>> {
    let quoted = |word: &Value| word.as_str().map(|word| format!("`{word}`"));
    if let Some(words) = value["enum"].as_array() {
        return Some(words.iter().filter_map(quoted).collect());
    }
    let variants = value["oneOf"].as_array()?;
    variants.iter().map(|variant| quoted(&variant["const"])).collect()
}

/// The type, leaving aside that it may be `null`.
fn type_of(value: &Value) -> &str {
    match &value["type"] {
        Value::String(name) => name,
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("")
        }
        _ => "",
    }
}

fn whole_number(value: &Value) -> String {
    match (value["minimum"].as_u64(), value["maximum"].as_u64()) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("a whole number, {min} or more"),
        _ => "a whole number".to_owned(),
    }
}

fn with_example(title: &str, value: &Value) -> String {
    match value["examples"][0].as_str() {
        Some(example) => format!("{title}, `{example}`"),
        None => title.to_owned(),
    }
}

/// The default that the schema knows. Empty lists stand for something that only the doc comment tells.
fn default_of(value: &Value) -> Option<String> {
    match &value["default"] {
        Value::Null | Value::Object(_) => None,
        Value::Array(items) if items.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(format!("`{text}`")),
        Value::Array(items) => {
            let in_words = |item: &Value| item.as_str().map_or(item.to_string(), str::to_owned);
            Some(format!("`[{}]`", items.iter().map(in_words).collect::<Vec<_>>().join(", ")))
        }
        other => Some(format!("`{other}`")),
    }
}

/// Takes the sentence `Default: ….` out of a description.
fn split_default(description: &str) -> (String, String) {
    let Some((before, rest)) = description.split_once("Default: ") else {
        return (String::new(), description.to_owned());
    };
    let (default, after) = rest.split_once(". ").unwrap_or((rest.trim_end_matches('.'), ""));
    (default.to_owned(), format!("{before}{after}").trim().to_owned())
}

/// A doc comment on one line.
fn text_of(value: &Value) -> String {
    value["description"].as_str().unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The anchor that Markdown renderers give a heading.
fn anchor(title: &str) -> String {
    let kept = title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
        .collect::<String>();
    kept.replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;

    /// Settings of a filter that there is not.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Settings {
        /// How much | how often.
        rate: crate::types::Rate,
        /// More of it.
        inner: Inner,
    }

    /// What is inside.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Inner {
        /// So many.
        count: Option<u8>,
    }

    #[test]
    fn every_key_of_the_spec_is_in_it() {
        fn keys(value: &Value, found: &mut Vec<String>) {
            if let Some(properties) = value["properties"].as_object() {
                found.extend(properties.keys().cloned());
            }
            for child in value.as_object().into_iter().flat_map(serde_json::Map::values) {
                keys(child, found);
            }
        }
        let mut all = Vec::new();
        keys(schemars::schema_for!(Spec).as_value(), &mut all);
        let text = reference(&[]);
        assert!(all.len() > 50, "{all:?}");
        for key in all {
            assert!(text.contains(&format!("| `{key}` |")), "{key}");
        }
    }

    #[test]
    fn links_lead_to_headings() {
        let text = reference(&[]);
        let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
        let links: Vec<_> = text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(links.len() > 10, "{links:?}");
        for link in links {
            assert!(headings.iter().any(|heading| heading == link), "{link} is not among {headings:?}");
        }
    }

    #[test]
    fn defaults_have_their_own_column() {
        let text = reference(&[]);
        assert!(text.contains("| `ipv6_prefix` | 1 to 128 | `64` |"));
        assert!(text.contains("| nobody's | Peers whose"));
        assert!(!text.contains("Default:"), "{text}");
    }

    #[test]
    fn sections_can_be_added() {
        let section =
            ReferenceSection { title: "Filter `thing`".to_owned(), schema: schemars::schema_for!(Settings) };
        let text = reference(&[section]);
        assert!(text.contains("## Filter `thing`\n\nSettings of a filter that there is not.\n"));
        assert!(text.contains("| `rate` | a rate, `100/s` | **required** | How much \\| how often. |"));
        assert!(text.contains("| `inner` | map: [inner](#inner) |"), "{text}");
        assert!(text.contains("| `count` | 0 to 255 |"));
    }
}
