use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;

use crate::support::{Client, Endpoint, PATIENCE, dead, eventually};

use super::control::{GET, command};
use super::run::Running;

const QUIET: &str = "log: { access: { format: off } }";

/// A tap that runs; it is killed when it is dropped.
struct Tapping {
    child: tokio::process::Child,
}

impl Tapping {
    /// Runs `evener tap`, and returns once the process is watched by it.
    async fn start(running: &Running, arguments: &[&str]) -> Self {
        let arguments: Vec<_> =
            ["tap", "--socket", "run/evener.sock"].iter().chain(arguments).copied().collect();
        let mut command = tokio::process::Command::from(command(&running.file(""), &arguments));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { child: command.spawn().unwrap() }
    }

    /// Sends requests until it has told of one: from then on it is surely open. Gives back the rest of what it prints.
    async fn opens(&mut self, running: &Running) -> BufReader<ChildStdout> {
        let mut out = BufReader::new(self.child.stdout.take().unwrap());
        let mut line = String::new();
        {
            let first = out.read_line(&mut line);
            tokio::pin!(first);
            loop {
                tokio::select! {
                    first = &mut first => break assert!(first.unwrap() > 0, "it ended"),
                    () = send(running, GET) => {}
                }
            }
        }
        out
    }

    /// Waits for its end; what it printed, line by line, and what it told besides.
    async fn ended(self) -> (String, String) {
        let output =
            tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await.expect("an end").unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Sends requests until the tap has seen enough and ends.
async fn tap_of(running: &Running, arguments: &[&str], request: &str) -> (String, String) {
    let tapping = Tapping::start(running, arguments).await;
    let ended = tapping.ended();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => return ended,
            () = send(running, request) => {}
        }
    }
}

async fn send(running: &Running, request: &str) {
    let mut client = Client::connect(running.address()).await;
    client.send(request).await;
    client.response().await;
}

fn reports(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn with_a_dead_one() -> (Running, Endpoint) {
    let (dead, good) = (dead().await, Endpoint::answering("good").await);
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ balance: first, endpoints: ['{dead}', '{}'], outlier: off }} }}
routes:
  - {{ name: api, match: {{ path: /api, headers: {{ X-Canary: secret-of-canary }} }}, respond: {{}} }}
  - {{ name: app, filters: [{{ rate_limit: {{ rate: 100000/s, burst: 100000 }} }}], pool: app }}
{QUIET}
",
        good.address()
    );
    (Running::start(&config, 1).await, good)
}

#[tokio::test]
async fn a_retry_is_told_with_all_that_led_to_it() {
    let (running, good) = with_a_dead_one().await;
    let request = "GET /api?token=hunter2&x HTTP/1.1\r\nHost: a\r\nX-Canary: mine\r\nAuthorization: Basic hunter3\r\nCookie: hunter4\r\n\r\n";
    let (out, _) = tap_of(&running, &["--json", "--max", "2", "--route", "app"], request).await;
    let reports = reports(&out);
    assert_eq!(reports.len(), 2);
    let report = &reports[0];
    assert_eq!(report["target"], "/api?token=***&***");
    assert_eq!(report["candidates"][0]["verdict"], "header x-canary is not as wanted");
    assert_eq!(report["candidates"][1]["chosen"], true);
    assert_eq!(report["filters"][0]["filter"], "rate_limit");
    assert_eq!(report["filters"][0]["verdict"], "continued");
    assert_eq!(report["picks"][0]["by"], "order");
    assert_eq!(report["attempts"][0]["cause"], "connect_failed");
    assert_eq!(report["attempts"][1]["why"], "retry");
    assert_eq!(report["attempts"][1]["retry_of"], "connect_failed");
    assert_eq!(report["attempts"][1]["endpoint"], good.address().to_string());
    assert_eq!(report["attempts"][1]["status"], 200);
    assert_eq!(report["end"]["status"], 200);
    for secret in ["hunter", "secret-of-canary", "mine"] {
        assert!(!out.contains(secret), "{secret}: {out}");
    }
}

#[tokio::test]
async fn a_path_is_the_one_that_routes_match_also_where_none_is_looked_for() {
    let config = format!(
        "listeners: {{ plain: {{ bind: 127.0.0.1:0, redirect_https: true }}, web: {{ bind: 127.0.0.1:0 }} }}\nroutes: [{{ respond: {{}} }}]\n{QUIET}\n"
    );
    let running = Running::start(&config, 1).await;
    let request = "GET /x/../a%2Db HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let arguments = ["--json", "--max", "1", "--host", "a.example", "--path", "//a%2Db"];
    let (out, _) = tap_of(&running, &arguments, request).await;
    assert_eq!(reports(&out)[0]["target"], "/a-b");
}

#[tokio::test]
async fn people_are_told_in_the_words_of_explain() {
    let (running, good) = with_a_dead_one().await;
    let (out, told) = tap_of(&running, &["--max", "1"], GET).await;
    for line in [
        "request    GET http://a/  (HTTP/1.1, ",
        "listener   web\ncandidates, the most specific first\n  1. api                  any host                 path /api is no prefix of it; header x-canary is not as wanted\n  2. app                  any host                 chosen\nfilters, in their order\n  1. rate_limit           continued  (",
        "pool       app: first picks 127.0.0.1:",
        " by order\n",
        &format!("  2. {:<20} retry after connect_failed, at ", good.address().to_string()),
        "answer     200  (",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(told.is_empty() || told.ends_with(" more matched\n"), "{told}");
}

#[tokio::test]
async fn the_endpoints_that_were_compared_are_told_with_their_costs_and_those_that_are_out() {
    let (a, b) = (Endpoint::answering("a").await, Endpoint::answering("b").await);
    let gone = dead().await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}', '{}', '{gone}'], health: {{ tcp: {{}}, interval: 1s }} }} }}
routes: [{{ pool: app }}]
{QUIET}
",
        a.address(),
        b.address()
    );
    let running = Running::start(&config, 1).await;
    let address = running.address();
    eventually("the dead one is out", async || running.status().await["pools"][0]["fit"] == 2).await;
    assert_eq!(running.address(), address);
    let (out, _) = tap_of(&running, &["--json", "--max", "1", "--status", "2xx"], GET).await;
    let pick = &reports(&out)[0]["picks"][0];
    assert_eq!((&pick["policy"], &pick["by"]), (&"peak_ewma".into(), &"load".into()), "{pick}");
    let sampled = pick["sampled"].as_array().unwrap();
    assert_eq!(sampled.len(), 2, "{pick}");
    assert!(
        sampled.iter().all(|sampled| sampled["cost"] == 0.0 && sampled["weight"].as_f64().unwrap() > 0.0),
        "{pick}"
    );
    assert_eq!(pick["out"], serde_json::json!([[gone.to_string(), "unfit"]]), "{pick}");
}

#[tokio::test]
async fn only_what_is_asked_for_is_told_and_a_tap_ends_by_itself() {
    let (running, _good) = with_a_dead_one().await;
    let quiet = ["--for", "1s", "--client", "192.0.2.0/24"];
    let (out, told) = tap_of(&running, &quiet, GET).await;
    assert_eq!((&*out, &*told), ("", "no request matched\n"));
    let (out, _) = tap_of(
        &running,
        &["--json", "--max", "1", "--status", "method_refused"],
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    .await;
    let report = &reports(&out)[0];
    assert_eq!((&report["end"]["status"], &report["end"]["cause"]), (&405.into(), &"method_refused".into()));
}

#[tokio::test]
async fn what_there_is_not_is_refused_at_once() {
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }}, db: {{ bind: 127.0.0.1:0, tcp: {{ pool: app }} }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ name: api, pool: app }}]
{QUIET}
",
        dead().await
    );
    let running = Running::start(&config, 1).await;
    let tap = async |arguments: &[&str]| {
        let all = [&["tap", "--socket", "run/evener.sock", "--for", "10m"][..], arguments].concat();
        tokio::time::timeout(PATIENCE, running.evener(&all)).await.expect("nobody waits")
    };
    for (arguments, expected) in [
        (["--route", "aip"], "no route named `aip`\n  help: did you mean `api`?"),
        (["--pool", "ap"], "no pool named `ap`\n  help: did you mean `app`?"),
        (["--listener", "wbe"], "no listener named `wbe`\n  help: did you mean `web`?"),
        (["--listener", "db"], "listener `db` passes on what it does not read, and only requests of HTTP"),
        (["--endpoint", "192.0.2.1:1"], "no pool has an endpoint `192.0.2.1:1`"),
        (
            ["--status", "queue_fall"],
            "no request ends with the cause `queue_fall`\n  help: did you mean `queue_full`?",
        ),
    ] {
        let (code, out, err) = tap(&arguments).await;
        assert_eq!((code, &*out), (1, ""), "{arguments:?}");
        assert!(err.starts_with(&format!("evener: {expected}")), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn no_time_is_cut_short_without_a_word() {
    let (running, _good) = with_a_dead_one().await;
    for (time, expected) in
        [("11m", "`11m` is too long; give 1s to 10m"), ("0s", "`0s` is too short; give 1s")]
    {
        let (code, _, err) = running.evener(&["tap", "--socket", "run/evener.sock", "--for", time]).await;
        assert!(code == 2 && err.contains(expected), "{err}");
    }
}

#[tokio::test]
async fn a_line_is_no_longer_for_a_long_path_and_many_routes() {
    let routes: Vec<_> =
        (0..70).map(|n| format!("{{ name: r{n}, match: {{ path: /p{n}/ }}, respond: {{}} }}")).collect();
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes: [{{ name: rest, respond: {{}} }}, {}]
{QUIET}
",
        routes.join(", ")
    );
    let running = Running::start(&config, 1).await;
    let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(7000));
    let (out, _) = tap_of(&running, &["--json", "--max", "1"], &request).await;
    assert!(out.len() <= 16 * 1024 + 1, "{}", out.len());
    let report = &reports(&out)[0];
    let target = report["target"].as_str().unwrap();
    assert!(target.len() < 1100 && target.ends_with("x…"), "{target}");
    let candidates = report["candidates"].as_array().unwrap();
    assert!(candidates.iter().any(|one| one["verdict"] == "path /p12/ is no prefix of it"), "{report}");
    assert_eq!((candidates.len(), &report["left_out"], &report["route"]), (64, &7.into(), &"rest".into()));
}

#[tokio::test]
async fn so_many_look_at_once_and_no_more_and_whoever_leaves_makes_room() {
    let (running, _good) = with_a_dead_one().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut tapping = Tapping::start(&running, &["--json", "--max", "100000", "--for", "10m"]).await;
        let out = tapping.opens(&running).await;
        open.push((tapping, out));
    }
    let is_full = async || {
        running
            .evener(&["tap", "--socket", "run/evener.sock", "--for", "1s", "--host", "nobody.example"])
            .await
    };
    let (code, _, err) = is_full().await;
    assert!(code == 1 && err.contains("4 others look at requests already"), "{err}");
    drop(open.pop());
    eventually("there is room again", async || is_full().await.0 == 0).await;
}

#[tokio::test]
async fn a_tap_that_nobody_reads_holds_nothing_up() {
    let (running, _good) = with_a_dead_one().await;
    let mut tapping = Tapping::start(&running, &["--json", "--max", "100000", "--for", "10m"]).await;
    let _out = tapping.opens(&running).await;
    // From here on its output is a pipe that nobody empties. What happens once its queue is full too, a test beside the queue
    // tells: so many requests take longer than is waited here.
    let mut client = Client::connect(running.address()).await;
    for _ in 0..2000 {
        client.send(GET).await;
        assert_eq!(client.response().await.status, 200);
    }
    assert!(tapping.child.try_wait().unwrap().is_none());
}
