//! What is written of words and names beside the code has all of them, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What stands between both marks, wherever it does.
fn between<'t>(text: &'t str, before: &'static str, after: &'static str) -> impl Iterator<Item = &'t str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
}

/// The sections of docs/errors.md by their words: the status, and the text.
fn sections() -> BTreeMap<String, (String, String)> {
    let text = read("docs/errors.md");
    let mut sections = BTreeMap::new();
    for section in text.split("\n### `").skip(1) {
        let section = section.split("\n## ").next().unwrap();
        let (heading, body) = section.split_once('\n').unwrap();
        let (word, status) = heading.split_once("` (").unwrap();
        let told = (status.trim_end_matches(')').to_owned(), body.to_owned());
        assert!(sections.insert(word.to_owned(), told).is_none(), "{word} stands there twice");
    }
    sections
}

/// The words of the table of causes with their status; two have that which a hook gives them.
fn causes() -> BTreeMap<String, Option<String>> {
    let text = read("src/runtime/cause.rs");
    let rows = text.lines().filter_map(|line| line.split_once("=> row("));
    let known = rows.filter_map(|(_, row)| {
        let (status, rest) = row.split_once(", ")?;
        let word = rest.strip_prefix('"')?.split('"').next()?;
        Some((word.to_owned(), status.parse::<u16>().is_ok().then(|| status.to_owned())))
    });
    known.chain([("hook_failed".to_owned(), None)]).collect()
}

/// Every word by which a built-in filter refuses or fails a request.
fn words_of_filters() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for file in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/filters")) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let refusals = between(code, "Rejection::new(", ")").map(|call| call.split_once(", ").unwrap().1);
        for named in refusals.chain(between(code, ".with_cause(", ")")) {
            match named.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
                Some(word) => drop(words.insert(word.to_owned())),
                None => words.extend(words_of(code, &file)),
            }
        }
    }
    words
}

/// The words of a filter that has several for one refusal: what is put into `cause`, or handed to `unauthorized`.
fn words_of(code: &str, file: &Path) -> BTreeSet<String> {
    let chosen =
        between(code, "let cause = ", "};").flat_map(|choice| between(choice, "\"", "\"").step_by(2));
    let handed = between(code, "unauthorized(\"", "\"");
    let words: BTreeSet<_> = chosen.chain(handed).map(str::to_owned).collect();
    assert!(!words.is_empty(), "{} has no words for what it refuses", file.display());
    words
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

#[test]
fn each_word_of_an_error_is_explained_and_no_other() {
    let (sections, causes, filters) = (sections(), causes(), words_of_filters());
    assert!(causes.len() >= 36 && filters.len() >= 20, "{causes:?}\n{filters:?}");
    let known: BTreeSet<_> = causes.keys().chain(&filters).collect();
    assert_eq!(sections.keys().collect::<BTreeSet<_>>(), known);
    for (word, (status, body)) in &sections {
        for part in ["**What happened.** ", "**Look at.** ", "**Change.** "] {
            let told = body.split_once(part).map(|(_, told)| told.split("\n\n").next().unwrap());
            assert!(told.is_some_and(|told| told.len() > 7), "{word} lacks {part}");
        }
        if let Some(Some(expected)) = causes.get(word) {
            assert!(status.starts_with(expected.as_str()), "{word} is {expected}, not {status}");
        }
    }
}

/// The metrics of docs/metrics.md, whose table is generated, with what histograms are called besides.
fn metrics() -> BTreeSet<String> {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| Some((row.split('`').next()?, row.contains("| histogram |"))));
    let mut names = BTreeSet::new();
    for (name, is_histogram) in rows {
        names.insert(name.to_owned());
        if is_histogram {
            names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    names
}

/// What looks like the name of a metric.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("evener_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_metric_that_is_named_anywhere_is_one() {
    let known = metrics();
    assert!(known.len() > 50);
    // The name of a file of pages, a label of another system's, and the like.
    let documents = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let documents = documents.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let documents = documents.filter(|path| path.ends_with(".md") && !path.ends_with("reference.md"));
    for path in
        documents.chain(["conf/grafana.json", "conf/alerts.yml", "conf/alerts.test.yml"].map(str::to_owned))
    {
        let unknown: Vec<_> = named(&read(&path)).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{path} names metrics that there are not: {unknown:?}");
    }
    assert!(named(&read("conf/grafana.json")).len() > 25);
}
