use super::{Place, told};

const OLD: &str = "listeners:
  web: { bind: 127.0.0.1:8080 }
  old: { bind: 127.0.0.1:8081 }
pools:
  app: { endpoints: [10.0.0.1:8080, 10.0.0.2:8080], timeouts: { connect: 2s } }
routes:
  - { name: api, match: { path: /api }, filters: [{ rate_limit: { rate: 10/s } }], pool: app }
  - { name: gone, match: { path: /gone }, redirect: { to: /api } }
  - { name: beta, match: { headers: { X-Beta: '1' } }, pool: app }
  - { name: rest, respond: { body: hello } }
";
const NEW: &str = "listeners:
  web: { bind: 127.0.0.1:8080 }
pools:
  app: { endpoints: [10.0.0.2:8080, 10.0.0.3:8080], timeouts: { connect: 1s } }
  canary: { endpoints: [10.0.0.4:8080] }
routes:
  - { name: canary, match: { path: /api/v2 }, pool: canary }
  - { name: api, match: { path: /api }, filters: [{ rate_limit: { rate: 20/s } }], pool: app }
  - { name: beta, match: { headers: { X-Beta: '1' } }, pool: app }
  - { name: rest, respond: { body: hello } }
";

/// A place with the new configuration as `edge.yaml` and the old one as `old.yaml`.
fn place(old: &str, new: &str) -> Place {
    let place = Place::with(new);
    std::fs::write(place.path().join("old.yaml"), old).unwrap();
    place
}

fn diff(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    let command = ["diff", "-c", "edge.yaml", "--against", "old.yaml"];
    told(&place.evener(&[&command[..], arguments].concat()))
}

#[test]
fn each_item_that_differs_has_a_line() {
    let expected = "- listeners.old
~ pools.app: endpoints: + 10.0.0.3:8080, - 10.0.0.1:8080; timeouts.connect: 2s -> 1s
+ pools.canary
~ routes.api: filters.rate_limit.rate: 10/s -> 20/s
- routes.gone
+ routes.canary
";
    assert_eq!(diff(&place(OLD, NEW), &[]), (1, expected.to_owned(), String::new()));
}

#[test]
fn what_means_the_same_is_no_difference() {
    let spelt = OLD.replace("timeouts: { connect: 2s }", "balance: peak_ewma, timeouts: { connect: 2000ms }");
    assert_eq!(diff(&place(OLD, &spelt), &[]), (0, "no difference\n".to_owned(), String::new()));
}

#[test]
fn json_is_for_programs() {
    let (code, out, _) = diff(&place(OLD, NEW), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["changes"].as_array().unwrap().len()), (1, 6));
    let pool = &json["changes"][1];
    assert_eq!(
        (&pool["kind"], &pool["section"], &pool["name"]),
        (&"changed".into(), &"pools".into(), &"app".into())
    );
    assert_eq!(pool["details"][0]["added"], serde_json::json!(["10.0.0.3:8080"]));
    assert_eq!(json.get("replay"), None);
}

#[test]
fn all_problems_of_both_files_are_told() {
    let place = place("routes: 5\n", &NEW.replace("pool: canary }", "pool: canari }"));
    let (code, out, err) = diff(&place, &[]);
    assert_eq!((code, &*out), (64, ""));
    assert!(err.contains("old.yaml:1:9: routes: ") && err.contains("edge.yaml:7:"), "{err}");
    assert!(err.contains("did you mean `canary`?"), "{err}");
}

#[test]
fn a_filter_that_nobody_knows_is_refused() {
    let (code, _, err) = diff(&place(OLD, &NEW.replace("rate_limit", "rate_limits")), &[]);
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("rate_limits"), "{err}");
}

#[test]
fn requests_of_a_log_that_go_another_way_are_counted() {
    let place = place(OLD, NEW);
    let line = |listener: &str, target: &str| {
        format!(
            "{{\"client\":\"10.1.2.3\",\"listener\":\"{listener}\",\"method\":\"GET\",\"host\":\"a.example\",\"target\":\"{target}\"}}\n"
        )
    };
    let mut log = line("web", "/other").repeat(4);
    log += &line("web", "/api/v2/x?y=1").repeat(3);
    log += &line("web", "/api/v1").repeat(2);
    log += &line("old", "/other");
    log += &line("web", "/gone\\u001b");
    log += &line("web", "/gone");
    log += "{\"listener\":\"tcp\",\"protocol\":\"TCP\"}\n{\"cut";
    std::fs::write(place.path().join("access.log"), log).unwrap();
    let (code, out, err) = diff(&place, &["--replay", "access.log"]);
    assert_eq!((code, &*err), (1, ""));
    let expected = "replay: 7 of 12 requests would go another way
       3  GET a.example/api/v2/x?y=1  route api -> canary; filters: - rate_limit; pool: app -> canary
       2  GET a.example/api/v1  filters.rate_limit.rate: 10/s -> 20/s
       1  GET a.example/gone  route gone -> rest; + respond, - redirect
       1  GET a.example/other  route rest -> no listener old
lines without an HTTP request, left out: 1
lines that cannot be read, left out: 1; the first is line 14: column 5: EOF while parsing a string (one JSON object in each line is expected, as the access log has them)
conditions on headers and cookies could not be checked, since the log has none: requests counted as having none
";
    assert_eq!(out.split_once("+ routes.canary\n").unwrap().1, expected);
    let (_, out, _) = diff(&place, &["--replay", "access.log", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&json["replay"]["changed"], &json["replay"]["most_frequent"][0]["requests"]),
        (&7.into(), &3.into())
    );
}

#[test]
fn the_most_frequent_fifty_are_listed() {
    let place = place(OLD, NEW);
    let line =
        |number: u32| format!("{{\"listener\":\"web\",\"method\":\"GET\",\"target\":\"/api/{number}\"}}\n");
    let log: String = (0..60).map(line).chain([line(59)]).collect();
    std::fs::write(place.path().join("access.log"), log).unwrap();
    let (_, out, _) = diff(&place, &["--replay", "access.log"]);
    let listed: Vec<_> = out.lines().filter(|line| line.contains("  GET /api/")).collect();
    assert!(listed.len() == 50 && listed[0].starts_with("       2  GET /api/59  "), "{out}");
    assert!(out.contains("\n      10  others\n"), "{out}");
}

#[test]
fn a_log_that_is_not_there_is_trouble() {
    let (code, out, err) = diff(&place(OLD, OLD), &["--replay", "access.log"]);
    assert_eq!((code, &*out), (2, ""));
    assert!(err.starts_with("evener: access.log: No such file"), "{err}");
}
