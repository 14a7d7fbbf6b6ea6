use std::path::Path;
use std::thread;

use serde_json::Value;

use super::{Place, told};

fn simulate(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    told(&place.evener(&[&["simulate"], arguments].concat()))
}

fn report(arguments: &[&str]) -> String {
    let (code, out, err) = simulate(&Place::with(""), arguments);
    assert_eq!((code, &*err), (0, ""), "{arguments:?}");
    out
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&report(&[arguments, &["--json"]].concat())).unwrap()
}

fn rows(report: &Value) -> impl Iterator<Item = (&str, &Value)> {
    report["policies"].as_array().unwrap().iter().map(|row| (row["policy"].as_str().unwrap(), row))
}

fn worst_backlog(report: &Value, policy: &str) -> u64 {
    rows(report).find(|(name, _)| *name == policy).unwrap().1["worst_backlog"].as_u64().unwrap()
}

// === What comes out ===

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let place = Place::with("");
    let run = |arguments: &[&str], file: &str| {
        let (code, out, err) = simulate(
            &place,
            &[arguments, &["--requests", "2000", "--endpoints", "3", "--plot", file]].concat(),
        );
        assert_eq!((code, &*err), (0, ""));
        (out, std::fs::read_to_string(place.folder.path().join(file)).unwrap())
    };
    for scenario in ["brown-out", "rolling-restart", "fail-fast"] {
        let first = run(&[scenario], "a.svg");
        assert_eq!(first, run(&[scenario], "b.svg"));
        assert_ne!(first, run(&[scenario, "--seed", "2"], "c.svg"));
    }
}

#[test]
fn every_scenario_is_listed_and_serves_all_requests_with_every_policy() {
    let list = report(&["--list"]);
    let scenarios: Vec<_> = list.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(
        scenarios,
        [
            "uniform",
            "one-slow",
            "slow-requests",
            "fail-fast",
            "brown-out",
            "rolling-restart",
            "weights",
            "race",
            "balls"
        ]
    );
    for scenario in &scenarios[..7] {
        let report = json(&[scenario, "--requests", "400"]);
        let policies: Vec<_> = rows(&report).map(|(name, _)| name).collect();
        for policy in [
            "first",
            "ip_hash",
            "least_requests",
            "maglev",
            "p2c",
            "peak_ewma",
            "random",
            "ring",
            "round_robin",
        ] {
            assert!(policies.contains(&policy), "{policies:?}");
        }
        for (policy, row) in rows(&report) {
            let count = |key: &str| row[key].as_u64().unwrap();
            assert_eq!(count("served") + count("errors"), 400, "{scenario} {policy}");
            assert!(count("errors") == 0 || *scenario == "fail-fast", "{scenario} {policy}");
        }
    }
}

/// Long requests pile up behind each other where nobody looks.
#[test]
fn least_requests_beats_round_robin_when_requests_differ() {
    for seed in ["1", "2", "3", "4", "5"] {
        let report = json(&["race", "--seed", seed]);
        let (turns, least) =
            (worst_backlog(&report, "round_robin"), worst_backlog(&report, "least_requests"));
        assert!(turns >= least * 3 / 2, "seed {seed}: {turns} against {least}");
    }
}

/// The fullest of n bins with m balls: m/n + √(2 m ln n / n) for one choice, m/n + log₂ ln n + O(1) for the better of two.
#[test]
fn balls_fill_bins_as_the_theory_says() {
    for seed in ["1", "2", "3", "4", "5"] {
        let report = json(&["balls", "--seed", seed]);
        let fullest = |policy| worst_backlog(&report, policy);
        assert!((16..=24).contains(&fullest("random")), "seed {seed}: {}", fullest("random"));
        assert!((11..=13).contains(&fullest("p2c")), "seed {seed}: {}", fullest("p2c"));
        assert_eq!(fullest("round_robin"), 10, "seed {seed}");
    }
}

#[test]
fn the_pool_can_be_given_other_limits() {
    let errors = |keys| {
        let report = json(&["fail-fast", "--policy", "round_robin", "--pool", keys]);
        report["policies"][0]["errors"].as_u64().unwrap()
    };
    assert_eq!(errors("{ outlier: off }"), 1000);
    assert!(
        errors("{ outlier: { consecutive: 2 } }")
            < errors("{ outlier: { consecutive: 50, min_requests: 1000 } }")
    );
}

// === What goes in ===

#[test]
fn requests_come_from_a_table() {
    let place = Place::with("");
    let rows: String = (0..1000).map(|i| format!("{},4,user-{}\n", i * 10, i % 3)).collect();
    std::fs::write(place.folder.path().join("in.csv"), format!("arrival_ms,cost_ms,key\n{rows}")).unwrap();
    let arguments = [
        "--csv",
        "in.csv",
        "--policy",
        "round_robin",
        "--policy",
        "ring: { key: path, bounded: off }",
        "--json",
    ];
    let (code, out, err) = simulate(&place, &arguments);
    assert_eq!((code, &*err), (0, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["policies"][0]["latency_ms"]["max"], 4.0);
    assert_eq!(report["policies"][0]["picks"], serde_json::json!([125, 125, 125, 125, 125, 125, 125, 125]));
    let used = report["policies"][1]["picks"].as_array().unwrap().iter().filter(|picks| **picks != 0).count();
    assert!((1..=3).contains(&used), "three keys at {used} endpoints");
}

#[test]
fn requests_come_from_an_access_log() {
    let place = Place::with("");
    let line = |i: u32| {
        format!(
            "{{\"time\":\"2030-01-01T00:00:{:02}.{:03}Z\",\"client\":\"10.0.0.{}\",\"host\":\"a.example\",\
             \"target\":\"/x\",\"status\":200,\"pool\":\"app\",\"ms\":{{\"first_byte\":2.5,\"total\":3}}}}\n",
            i / 100,
            i % 100 * 10,
            i % 2
        )
    };
    let refused = "{\"time\":\"2030-01-01T00:00:00Z\",\"status\":404,\"ms\":{\"total\":0.1}}\n";
    let text = (0..200).map(line).collect::<String>() + refused;
    std::fs::write(place.folder.path().join("access.log"), text).unwrap();
    let (code, out, err) =
        simulate(&place, &["one-slow", "--log", "access.log", "--policy", "{ ip_hash: { bounded: off } }"]);
    assert_eq!((code, &*err), (0, ""));
    assert!(
        out.contains(
            "requests   200 within 2.0 s, from access.log, where 1 line tells of no answer of an endpoint"
        ),
        "{out}"
    );
}

#[test]
fn what_is_wrong_is_told() {
    let place = Place::with("");
    std::fs::write(place.folder.path().join("bad.csv"), "arrival_ms,cost_ms\n1,x\n").unwrap();
    for (arguments, code, expected) in [
        (
            &["--csv", "bad.csv"][..],
            1,
            "evener: bad.csv:2: column 2: cost_ms: found `x`; allowed: milliseconds from 0 on, like 12.5\n",
        ),
        (
            &["race", "--csv", "bad.csv"],
            1,
            "evener: the scenario `race` is about requests, which come from a file here; choose one about endpoints\n",
        ),
        (&["--log", "gone.log"], 1, "evener: gone.log: the file cannot be read: No such file or directory"),
        (
            &["--policy", "p3c"],
            1,
            "evener: --policy p3c: unknown policy `p3c`\n  help: did you mean `p2c`?\n",
        ),
        (
            &["--policy", "ring: { kee: path }"],
            1,
            "evener: --policy ring: { kee: path }: unknown key `kee`\n",
        ),
        (&["--pool", "{ slow_start: 5 }"], 1, "evener: --pool: slow_start: "),
        (&["--plot", "gone/x.svg"], 1, "evener: gone/x.svg: the plot cannot be written: "),
        (&["one-slo"], 2, "error: invalid value 'one-slo' for '[SCENARIO]'"),
        (&["--pool", "{ retry: {} }"], 2, "`retry` is not simulated; allowed: outlier, slow_start,"),
        (&["--rate", "0"], 2, "allowed: 0.001 to 1000000"),
        (&["--csv", "bad.csv", "--rate", "1"], 2, "cannot be used with"),
    ] {
        let (found, out, err) = simulate(&place, arguments);
        assert_eq!((found, &*out), (code, ""), "{arguments:?}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}

// === The documentation ===

const BEGIN: &str = "```console\n$ evener simulate";
const END: &str = "```";

/// Tables and plots of docs/balancing.md are what the commands above them give. `BLESS=1` writes them anew.
#[test]
fn the_documentation_shows_what_the_command_prints() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let file = docs.join("balancing.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let blocks: Vec<_> = text.split(BEGIN).skip(1).map(|rest| rest.split(END).next().unwrap()).collect();
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    let printed: Vec<_> = thread::scope(|scope| {
        let docs = &docs;
        let runs: Vec<_> = blocks.iter().map(|block| scope.spawn(move || run_block(block, docs))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let mut actual = text.clone();
    for (block, printed) in blocks.iter().zip(&printed) {
        actual = actual.replacen(&format!("{BEGIN}{block}"), &format!("{BEGIN}{printed}"), 1);
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &actual).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        actual,
        "run the test with BLESS=1 and read the difference"
    );
}

/// The block as it should be: its command line, then what that prints. Plots are compared, or written, beside it.
fn run_block(block: &str, docs: &Path) -> String {
    let command = block.lines().next().unwrap();
    let arguments = words(command);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let place = Place::with("");
    std::fs::create_dir(place.folder.path().join("plots")).unwrap();
    let (code, out, err) = simulate(&place, &arguments);
    assert_eq!((code, &*err), (0, ""), "{command}");
    for plot in arguments.iter().filter(|argument| argument.ends_with(".svg")) {
        let drawn = std::fs::read_to_string(place.folder.path().join(plot)).unwrap();
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(docs.join(plot).parent().unwrap()).unwrap();
            std::fs::write(docs.join(plot), &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(docs.join(plot)).unwrap();
        assert!(kept == drawn, "docs/{plot} differs; run the test with BLESS=1");
    }
    format!("{command}\n{out}")
}

/// The words of a command line, in which single quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}
