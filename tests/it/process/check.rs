use super::{Place, told};

fn check(config: &str) -> (i32, String, String) {
    told(&Place::with(config).evener(&["check", "-c", "edge.yaml"]))
}

#[test]
fn a_good_file_is_summed_up() {
    let (code, out, err) = check(
        "listeners:
  web: { bind: ['127.0.0.1:8080', 'unix:edge.sock'] }
pools:
  app: { endpoints: [127.0.0.1:9001, 127.0.0.1:9002], health: { tcp: {} } }
  old: { endpoints: [127.0.0.1:9003, 127.0.0.1:9004], balance: round_robin }
routes:
  - { name: rest, respond: { body: hi } }
  - { name: moved, match: { path: /old }, redirect: { to: '/new{path}' } }
  - { name: legacy, match: { path: /old/api, headers: { X-Old: '1' } }, pool: old }
  - name: api
    match: { host: api.example.com, path: /v1, methods: [GET] }
    filters: [{ rate_limit: { rate: 10/s } }, { request_headers: { set: { X-A: b } } }]
    pool: app
",
    );
    assert_eq!((code, &*err), (0, ""));
    assert_eq!(
        out,
        "listeners
  web                  127.0.0.1:8080, unix:edge.sock
routes, in the order in which they are tried
  api                  api.example.com /v1 GET                  -> pool app  [rate_limit, request_headers]
  legacy               /old/api header x-old = 1                -> pool old
  moved                /old                                     -> redirect 308 /new{path}
  rest                 every request                            -> respond 200
pools
  app                  peak_ewma, probed: 127.0.0.1:9001, 127.0.0.1:9002
  old                  round_robin, not probed: 127.0.0.1:9003, 127.0.0.1:9004
"
    );
}

#[test]
fn a_bad_file_is_refused_with_everything_that_is_wrong() {
    let (code, out, err) = check(
        "listeners:
  web: { bind: 8080 }
pools:
  app: { endpoints: [127.0.0.1:9001, 127.0.0.1:9002], balanse: p2c }
routes:
  - { pool: ap }
  - { match: { path: /x }, pool: app, filters: [{ rate_limit: { rate: 5 } }, { rate_limits: {} }] }
",
    );
    assert_eq!((code, &*out), (64, ""));
    assert_eq!(
        err,
        "edge.yaml:2:16: listeners.web.bind: `8080` is not an address; the IP address is missing (write 0.0.0.0:PORT for all IPv4 addresses)
edge.yaml:4:55: pools.app.balanse: unknown key `balanse`
  help: did you mean `balance`?
edge.yaml:6:13: routes[0].pool: no pool named `ap`
  help: did you mean `app`?
edge.yaml:7:71: routes[1].filters[0].rate_limit.rate: `5` is not a rate; write COUNT/PERIOD, like 100/s or 600/m
edge.yaml:7:80: routes[1].filters[1].rate_limits: unknown filter `rate_limits`
  help: did you mean `rate_limit`?
"
    );
}

#[test]
fn what_is_surely_not_meant_is_warned_of() {
    let (code, out, err) = check(
        "listeners:
  web: { bind: 127.0.0.1:8080 }
pools:
  app: { endpoints: [127.0.0.1:9001] }
  unused: { endpoints: [127.0.0.1:9001, 127.0.0.1:9002] }
routes:
  - { name: all, match: { path: /x }, pool: app }
  - { name: never, match: { path: /x }, respond: {} }
",
    );
    assert_eq!(code, 0);
    assert!(out.starts_with("listeners\n"), "{out}");
    assert_eq!(
        err,
        "edge.yaml:4:10: warning: pools.app.endpoints: there is only one endpoint, and the pool fails with it
edge.yaml:5:3: warning: pools.unused: nothing uses it
edge.yaml:8:5: warning: routes[1]: route `never` can never match: `all` takes every request that it could
"
    );
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let (code, out, err) = told(&Place::with("").evener(&["check", "-c", "gone.yaml"]));
    assert_eq!((code, &*out), (64, ""));
    assert_eq!(err, "gone.yaml: the file cannot be read: No such file or directory (os error 2)\n");
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_wrong_file() {
    let place = Place::with("");
    for arguments in [&["check"][..], &["chek"], &[], &["explain", "-c", "edge.yaml"]] {
        assert_eq!(place.evener(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn what_needs_no_file_is_printed() {
    let place = Place::with("");
    let print = |arguments: &[&str]| {
        let (code, out, err) = told(&place.evener(arguments));
        assert_eq!((code, &*err), (0, ""), "{arguments:?}");
        out
    };
    assert_eq!(print(&["--version"]), concat!("evener ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = print(&["--help"]);
    for command in ["run", "check", "explain", "reference", "completions"] {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
    }
    assert_eq!(print(&["reference"]), evener::app::App::builder().reference());
    let completions = print(&["completions", "bash"]);
    assert!(completions.contains("_evener()") && completions.contains("explain"), "{completions}");
}
