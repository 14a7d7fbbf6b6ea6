use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Loaded, Origin};

const REST: &str = "listeners: { web: { bind: 127.0.0.1:0 } }\n";

fn loaded(text: &str) -> Loaded {
    Origin::test(text).read().and_then(Loaded::sound).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn endpoint(pool: &str, index: usize) -> KeyPath {
    KeyPath::default().child("pools").child(pool).child("endpoints").index(index)
}

fn side(route: usize, index: usize) -> KeyPath {
    KeyPath::default().child("routes").index(route).child("split").child("to").index(index)
}

fn edit(at: KeyPath, weight: u16) -> WeightEdit {
    WeightEdit { at, weight }
}

/// What becomes of a text, and what is left of the edits.
fn edited(text: &str, edits: &[WeightEdit]) -> (String, Vec<String>) {
    let Edited { text, left, .. } = write_weights(&loaded(text).source, edits);
    loaded(&text);
    (text, left.iter().map(ToString::to_string).collect())
}

/// The same for the endpoints of a pool, each as they are written in a text of their own.
fn endpoints_become(before: &str, weights: &[(usize, u16)], after: &str) {
    let whole = |endpoints: &str| {
        format!("{REST}pools:\n  # Ä fleet\n  app:\n    endpoints: {endpoints}\nroutes: [{{ pool: app }}]\n")
    };
    let edits: Vec<_> = weights.iter().map(|&(index, weight)| edit(endpoint("app", index), weight)).collect();
    assert_eq!(edited(&whole(before), &edits), (whole(after), Vec::new()));
}

#[test]
fn a_bare_address_becomes_a_map() {
    endpoints_become(
        "[10.0.0.1:80, 10.0.0.2:80]",
        &[(1, 3)],
        "[10.0.0.1:80, { address: 10.0.0.2:80, weight: 3 }]",
    );
    endpoints_become(
        "\n      - 10.0.0.1:80   # the first\n      - '[::1]:80'\n      - \"unix:/run/a b.sock\"",
        &[(0, 0), (1, 2), (2, 9)],
        "\n      - { address: 10.0.0.1:80, weight: 0 }   # the first\n      \
         - { address: '[::1]:80', weight: 2 }\n      - { address: \"unix:/run/a b.sock\", weight: 9 }",
    );
}

#[test]
fn a_text_that_braces_would_cut_is_put_in_quotes() {
    endpoints_become(
        "\n      - unix:/run/it's,a.sock\n      - 10.0.0.1:80",
        &[(0, 4)],
        "\n      - { address: 'unix:/run/it''s,a.sock', weight: 4 }\n      - 10.0.0.1:80",
    );
}

#[test]
fn a_weight_that_stands_there_is_replaced() {
    endpoints_become(
        "[{ weight: 3, address: 10.0.0.1:80 }, { address: 10.0.0.2:80, weight: \"7\" }]",
        &[(0, 12), (1, 0)],
        "[{ weight: 12, address: 10.0.0.1:80 }, { address: 10.0.0.2:80, weight: 0 }]",
    );
    endpoints_become(
        "\n      - address: 10.0.0.1:80\n        weight: 3 # of ten\n        zone: a\n      - 10.0.0.2:80",
        &[(0, 1)],
        "\n      - address: 10.0.0.1:80\n        weight: 1 # of ten\n        zone: a\n      - 10.0.0.2:80",
    );
}

#[test]
fn a_map_without_a_weight_gets_one() {
    endpoints_become(
        "[{ address: 10.0.0.1:80, zone: a }, { zone: a, address: '10.0.0.2:80' }]",
        &[(0, 12), (1, 0)],
        "[{ address: 10.0.0.1:80, weight: 12, zone: a }, { zone: a, address: '10.0.0.2:80', weight: 0 }]",
    );
    endpoints_become(
        "\n      - address: 10.0.0.1:80 # one\n        zone: a\n      -\n        zone: b\n        address: 10.0.0.2:80",
        &[(0, 5), (1, 6)],
        "\n      - address: 10.0.0.1:80 # one\n        weight: 5\n        zone: a\n      -\n        zone: b\n        address: 10.0.0.2:80\n        weight: 6",
    );
}

#[test]
fn pools_of_a_split_have_weights_too() {
    let text = |to: &str| {
        format!(
            "{REST}pools: {{ a: {{ endpoints: [10.0.0.1:80] }}, b: {{ endpoints: [10.0.0.1:80] }} }}\n\
             routes:\n  - match: {{ path: /x }}\n    pool: a\n  - split:\n      to:\n{to}"
        )
    };
    let before = text("        - pool: a\n        - { pool: b, weight: 5 }");
    let after = text("        - pool: a\n          weight: 90\n        - { pool: b, weight: 10 }");
    assert_eq!(edited(&before, &[edit(side(1, 0), 90), edit(side(1, 1), 10)]), (after, Vec::new()));
}

#[test]
fn line_ends_and_json_stay_what_they_are() {
    let text = format!(
        "{REST}pools:\n  app:\n    endpoints:\n      - address: 10.0.0.1:80\n      - 10.0.0.2:80\n\
         routes: [{{ pool: app }}]\n"
    )
    .replace('\n', "\r\n");
    let (after, left) = edited(&text, &[edit(endpoint("app", 0), 2)]);
    assert!(
        left.is_empty() && after.contains("- address: 10.0.0.1:80\r\n        weight: 2\r\n"),
        "{after:?}"
    );
    let json = r#"{"listeners": {"web": {"bind": "127.0.0.1:0"}}, "routes": [{"pool": "app"}],
        "pools": {"app": {"endpoints": ["10.0.0.1:80", {"address": "10.0.0.2:80"}]}}}"#;
    let (after, left) = edited(json, &[edit(endpoint("app", 0), 2), edit(endpoint("app", 1), 3)]);
    let value: serde_json::Value = serde_json::from_str(&after).unwrap();
    assert_eq!(value["pools"]["app"]["endpoints"][0]["weight"], 2);
    assert_eq!((value["pools"]["app"]["endpoints"][1]["weight"].as_u64(), left.len()), (Some(3), 0));
}

#[test]
fn what_is_shared_is_changed_for_all_or_not_at_all() {
    let text = format!(
        "{REST}pools:\n  a: {{ endpoints: &fleet [10.0.0.1:80, {{ address: 10.0.0.2:80 }}] }}\n  \
         b: {{ endpoints: *fleet }}\n  c: {{ endpoints: [10.0.0.1:80, 10.0.0.9:80] }}\nroutes: [{{ pool: a }}]\n"
    );
    let one = [edit(endpoint("a", 0), 0), edit(endpoint("c", 0), 3)];
    let (after, left) = edited(&text, &one);
    assert!(after.contains("c: { endpoints: [{ address: 10.0.0.1:80, weight: 3 }, ") && left.len() == 1);
    assert_eq!(
        left[0],
        "test.yaml:3:27: pools.a.endpoints[0]: the weight 0 cannot be written: something else would change with it, \
         as where an alias (`*`) stands for it"
    );
    let both = [edit(endpoint("a", 1), 7), edit(endpoint("b", 1), 7)];
    let (after, left) = edited(&text, &both);
    assert!(after.contains("{ address: 10.0.0.2:80, weight: 7 }") && left.is_empty(), "{after}{left:?}");
    let differently = [edit(endpoint("a", 1), 7), edit(endpoint("b", 1), 8)];
    assert_eq!(edited(&text, &differently), (text.clone(), edited(&text, &differently).1));
    assert_eq!(edited(&text, &differently).1.len(), 2);
}

#[test]
fn what_is_written_in_an_unusual_form_is_left() {
    for endpoints in [
        "[\"10.0.0.1\\x3a80\", 10.0.0.2:80]",
        "[&first 10.0.0.1:80, 10.0.0.2:80]",
        "\n      - >-\n        10.0.0.1:80\n      - 10.0.0.2:80",
        "\n      - ? address\n        : 10.0.0.1:80\n      - 10.0.0.2:80",
    ] {
        let text = format!("{REST}pools:\n  app:\n    endpoints: {endpoints}\nroutes: [{{ pool: app }}]\n");
        let (after, left) = edited(&text, &[edit(endpoint("app", 0), 5)]);
        assert_eq!((after, left.len()), (text, 1));
        assert!(left[0].ends_with("it is written in a form that is not changed by a program"), "{left:?}");
    }
}

#[test]
fn each_file_is_changed_where_it_is() {
    let included = |text: &str| IncludedText { file: "conf.d/more.yaml".to_owned(), text: text.to_owned() };
    let more = "# more\npools:\n  b: { endpoints: [10.0.0.1:80, 10.0.0.2:80] }\nroutes:\n  - match: { path: /s }\n    \
                split: { to: [{ pool: a }, { pool: b }] }\n";
    let origin = Origin::Text {
        name: "edge.yaml".to_owned(),
        base: Path::new("").to_owned(),
        text: format!("{REST}pools: {{ a: {{ endpoints: [10.0.0.1:80] }} }}\nroutes: [{{ pool: a }}]\n"),
        included: Some(vec![included(more)]),
    };
    let source = origin.read().and_then(Loaded::sound).unwrap().source;
    let edits = [edit(endpoint("b", 1), 4), edit(side(1, 0), 8), edit(endpoint("a", 0), 2)];
    let Edited { text, included: texts, left } = write_weights(&source, &edits);
    assert!(left.is_empty() && text.contains("a: { endpoints: [{ address: 10.0.0.1:80, weight: 2 }] }"));
    let expected = more.replace("10.0.0.2:80", "{ address: 10.0.0.2:80, weight: 4 }");
    assert_eq!(texts, [included(&expected.replace("{ pool: a }", "{ pool: a, weight: 8 }"))]);
}

// === Properties ===

/// An endpoint in one of the forms in which people write them, for a list of that style.
fn written(form: u8, number: usize, weight: u16, is_block: bool) -> String {
    let address = format!("10.0.0.{number}:80");
    match (form % 6, is_block) {
        (0, _) => address,
        (1, _) => format!("'{address}'"),
        (2, _) => format!("{{ address: {address} }}"),
        (3, _) => format!("{{ weight: {weight}, zone: a, address: \"{address}\" }}"),
        (_, false) => format!("{{address: {address}, weight: {weight}}}"),
        (4, true) => format!("address: {address}  # note {number}\n        zone: b"),
        (_, true) => format!("zone: b\n        weight: {weight} # note {number}\n        address: {address}"),
    }
}

fn list(forms: &[(u8, u16)], is_block: bool) -> String {
    let items = forms.iter().enumerate();
    let items = items.map(|(index, (form, weight))| written(*form, index + 1, *weight, is_block));
    match is_block {
        true => items.map(|item| format!("\n      - {item}")).collect(),
        false => format!(" [{}]", items.collect::<Vec<_>>().join(",  ")),
    }
}

fn weights(config: &Config) -> Vec<Vec<u16>> {
    let of = |pool: &crate::config::Pool| pool.endpoints.iter().map(|one| one.weight.get()).collect();
    config.pools.iter().map(of).collect()
}

type Written = (Vec<(u8, u16)>, bool);

fn pool() -> impl Strategy<Value = Written> {
    (prop::collection::vec((0..6_u8, 0..50_u16), 1..6), any::<bool>())
}

proptest! {
    #[test]
    fn the_file_says_what_it_is_to_say_and_all_else_as_before(
        pools in prop::collection::vec(pool(), 1..4),
        wanted in prop::collection::vec((0..4_usize, 0..6_usize, 0..1000_u16), 0..8),
    ) {
        let mut text = format!("# {REST}{REST}pools:\n");
        for (index, (forms, is_block)) in pools.iter().enumerate() {
            text += &format!("  p{index}: # the pool {index}\n    endpoints:{}\n", list(forms, *is_block));
        }
        text += "routes: [{ pool: p0 }]\n";
        let before = loaded(&text);
        let mut expected = weights(&before.config);
        let mut edits: Vec<WeightEdit> = Vec::new();
        for (pool, index, weight) in wanted {
            let at = endpoint(&format!("p{pool}"), index);
            let Some(known) = expected.get_mut(pool).and_then(|pool| pool.get_mut(index)) else { continue };
            if edits.iter().all(|edit| edit.at != at) {
                *known = weight;
                edits.push(edit(at, weight));
            }
        }
        let (after, left) = edited(&text, &edits);
        prop_assert!(left.is_empty(), "{left:?}\n{text}");
        prop_assert_eq!(weights(&loaded(&after).config), expected);
        let comments = |text: &str| text.lines().filter_map(|line| Some(line.split_once('#')?.1.to_owned())).collect::<Vec<_>>();
        prop_assert_eq!(comments(&after), comments(&text));
        if edits.is_empty() {
            prop_assert_eq!(after, text);
        }
    }
}
