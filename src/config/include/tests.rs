use std::fs;

use super::*;
use crate::config::{Loaded, Origin, load, load_text};

const MAIN: &str = "\
include: conf.d/*.yaml
listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [127.0.0.1:1, 127.0.0.1:9] } }
routes:
  - { name: first, match: { path: /first }, pool: app }
";

/// A folder with these files, and what is wrong with its `edge.yaml`, without the folder's name.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Loaded, String>) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let loaded = load(&folder.path().join("edge.yaml")).and_then(Loaded::sound);
    let here = format!("{}/", folder.path().display());
    (folder, loaded.map_err(|problems| problems.to_string().replace(&here, "")))
}

fn problems(files: &[(&str, &str)]) -> String {
    folder(files).1.unwrap_err()
}

#[test]
fn names_are_joined_and_routes_follow_in_the_order_of_the_files() {
    let (folder, loaded) = folder(&[
        ("edge.yaml", MAIN),
        ("conf.d/b.yaml", "routes: [{ name: of-b, match: { path: /b }, pool: api }]\n"),
        (
            "conf.d/a.yaml",
            "listeners: { tls: { bind: unix:a.sock } }\npools: { api: { endpoints: [127.0.0.1:2, 127.0.0.1:9] } }\n\
             routes: [{ match: { path: /a }, pool: app }, { name: of-a, match: { path: /c }, pool: api }]\n",
        ),
        ("conf.d/off.yaml", "# routes: []\n"),
        ("conf.d/.draft.yaml", "nothing: of use\n"),
        ("conf.d/notes.txt", "nothing: of use\n"),
    ]);
    let config = loaded.unwrap().config;
    let routes: Vec<_> = config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!((routes.len(), routes[0], routes[2], routes[3]), (4, "first", "of-a", "of-b"));
    let pools: Vec<_> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(pools, ["app", "api"]);
    // Relative to the main file.
    let socket = format!("unix:{}", folder.path().join("a.sock").display());
    assert_eq!(config.listeners[1].binds[0].to_string(), socket);
}

#[test]
fn problems_are_told_in_the_file_where_they_are() {
    let told = problems(&[
        ("edge.yaml", MAIN),
        (
            "conf.d/a.yaml",
            "pools:\n  api: { endpoints: [127.0.0.1:2, 127.0.0.1:9], colour: red }\nroutes:\n  - pool: nobody\n",
        ),
        (
            "conf.d/b.yaml",
            "routes:\n  - match: { path: /b }\n    pool: app\n  - pool: app\n    match: { pth: /c }\n",
        ),
    ]);
    let lines: Vec<_> = told.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        lines,
        [
            "conf.d/a.yaml:2:49: pools.api.colour: unknown key `colour`",
            "conf.d/a.yaml:4:11: routes[1].pool: no pool named `nobody`",
            "conf.d/b.yaml:5:14: routes[3].match.pth: unknown key `pth`",
        ],
        "{told}"
    );
}

#[test]
fn settings_that_are_read_later_are_found_in_their_file() {
    let (_folder, loaded) = folder(&[
        ("edge.yaml", MAIN),
        ("conf.d/a.yaml", "routes:\n  - pool: app\n    filters:\n      - rate_limit: { rate: 5 }\n"),
    ]);
    let source = loaded.unwrap().source;
    let filter = KeyPath::default().child("routes").index(1).child("filters").index(0).child("rate_limit");
    let problems = source.read_at::<HashMap<String, crate::types::Rate>>(&filter).unwrap_err().to_string();
    assert!(
        problems.contains("conf.d/a.yaml:4:29: routes[1].filters[0].rate_limit.rate: `5` is not"),
        "{problems}"
    );
}

#[test]
fn a_name_that_is_taken_is_told_with_both_places() {
    let told = problems(&[
        ("edge.yaml", MAIN),
        (
            "conf.d/a.yaml",
            "pools:\n  app: { endpoints: [127.0.0.1:2, 127.0.0.1:9] }\n  api: { endpoints: [127.0.0.1:2, 127.0.0.1:9] }\n",
        ),
        ("conf.d/b.yaml", "pools: { api: { endpoints: [127.0.0.1:3, 127.0.0.1:9] } }\n"),
    ]);
    assert_eq!(
        told,
        "conf.d/a.yaml:2:3: pools.app: the name is taken\n  \
         help: it stands in edge.yaml:3:10 already; give one of them another name\n\
         conf.d/b.yaml:1:10: pools.api: the name is taken\n  \
         help: it stands in conf.d/a.yaml:3:3 already; give one of them another name\n"
    );
}

#[test]
fn included_files_have_three_keys() {
    let told = problems(&[
        ("edge.yaml", MAIN),
        ("conf.d/a.yaml", "server: { watch: true }\ninclude: b.yaml\npool: {}\n"),
        ("conf.d/b.yaml", "pools: [a]\nroutes: []\nroutes: []\n"),
        ("conf.d/c.yaml", "pools: { a: }}\n"),
        ("conf.d/d.yaml", "- 1\n"),
    ]);
    assert_eq!(
        told,
        "conf.d/a.yaml:1:1: server: unknown key `server`\n  help: `server` stands in the main file only\n\
         conf.d/a.yaml:2:1: include: unknown key `include`\n  help: `include` stands in the main file only\n\
         conf.d/a.yaml:3:1: pool: unknown key `pool`\n  help: did you mean `pools`?\n\
         conf.d/b.yaml:1:8: pools: found a list, expected a map\n  \
         help: write a map's entries as `key: value`, without `- `\n\
         conf.d/b.yaml:3:1: routes: the key stands here twice\n  \
         help: it stands in line 2 already; join them, or remove one\n\
         conf.d/c.yaml:1:14: nothing can follow the `}` that closes a value\n  \
         help: put the whole value in quotes\n\
         conf.d/d.yaml:1:1: found a list, expected a map of listeners, pools, routes\n  \
         help: write a map's entries as `key: value`, without `- `\n",
    );
}

#[test]
fn files_that_cannot_be_read_are_told_where_they_are_named() {
    let main = MAIN
        .replace("conf.d/*.yaml", "[gone.yaml, conf.d, \"conf.d/*.yaml\"]")
        .replace("pool: app", "pool: api");
    let told = problems(&[("edge.yaml", &main)]);
    assert!(told.contains("edge.yaml:1:11: include[0]: `gone.yaml`: the file cannot be read: "), "{told}");
    assert!(told.contains("edge.yaml:1:22: include[1]: `conf.d` is no file"), "{told}");
    assert!(
        told.contains("edge.yaml:1:30: warning: include[2]: no file is called `conf.d/*.yaml`"),
        "{told}"
    );
    // The pool may be in what could not be read.
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn only_so_much_is_read() {
    let (_folder, loaded) = folder(&[("edge.yaml", &MAIN.replace("conf.d/*.yaml", "\"*\"")), ("a", "# x")]);
    assert!(loaded.is_ok(), "a pattern does not stand for the file itself, nor for folders: {loaded:?}");
    let half = "#".repeat(9 << 20);
    let told = problems(&[("edge.yaml", MAIN), ("conf.d/a.yaml", &half), ("conf.d/b.yaml", &half)]);
    assert_eq!(
        told,
        "edge.yaml:1:10: include: with `conf.d/b.yaml` the files are larger than 16MiB together\n"
    );
    let names: Vec<_> = (0..=MAX_FILES).map(|number| format!("conf.d/{number}.yaml")).collect();
    let mut files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    files.push(("edge.yaml", MAIN));
    assert_eq!(problems(&files), "edge.yaml:1:10: include: these are more than 1000 files\n");
}

#[test]
fn what_was_read_stays_when_the_files_are_gone() {
    let (folder, loaded) =
        folder(&[("edge.yaml", MAIN), ("conf.d/a.yaml", "routes: [{ name: added, pool: app }]\n")]);
    let fixed = Origin::File(folder.path().join("edge.yaml")).fixed_to(&loaded.unwrap().source);
    fs::remove_file(folder.path().join("conf.d/a.yaml")).unwrap();
    let sent = serde_json::to_string(&fixed).unwrap();
    let fixed: Origin = serde_json::from_str(&sent).unwrap();
    let loaded = fixed.read().unwrap().sound().unwrap();
    assert_eq!(loaded.config.routes[1].name.as_str(), "added");
    assert!(loaded.diagnostics.is_empty());
}

#[test]
fn a_text_of_an_older_process_can_be_read() {
    let old = r#"{"text":{"name":"x.yaml","base":"","text":"routes: []"}}"#;
    let Origin::Text { included, .. } = serde_json::from_str(old).unwrap() else { panic!("a text") };
    assert_eq!(included, None);
}

#[test]
fn how_something_is_included_makes_no_difference() {
    let outline = |text: &str| {
        let loaded = load_text("x.yaml", Path::new("/nonexistent"), text).unwrap();
        crate::config::Outline::of(&loaded.config, &loaded.source).unwrap()
    };
    let without = MAIN.replace("include: conf.d/*.yaml\n", "");
    assert!(crate::config::diff(&outline(MAIN), &outline(&without)).changes.is_empty());
}

#[test]
fn names_match_patterns() {
    let fits = |pattern: &str, name: &str| {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        is_match(&chars(pattern), &chars(name))
    };
    for (pattern, name) in
        [("*", "a"), ("*.yaml", "a.b.yaml"), ("a*b*c", "abxbc"), ("a?c", "aéc"), ("a*", "a"), ("**", "")]
    {
        assert!(fits(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [("*.yaml", "a.yaml~"), ("a?c", "ac"), ("a*b", "abc"), ("", "a"), ("a", "")] {
        assert!(!fits(pattern, name), "{pattern} {name}");
    }
}
