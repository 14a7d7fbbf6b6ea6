//! What a reload tells, and how one may ask for it.

use std::io::Write;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::support::{Client, eventually};

use super::super::control::{Gated, command, evener, status};
use super::super::{Running, told};
use super::{answer, responding, write};

#[tokio::test]
async fn a_reload_tells_what_differs_and_a_second_one_nothing() {
    let running = Running::start(&responding("", 201), 1).await;
    let mut client = Client::connect(running.address()).await;
    let ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(ask).await;
    assert_eq!(client.response().await.status, 201);
    write(&running, &responding("", 202));
    let expected = "~ routes.all: respond.status: 201 -> 202\n";
    assert_eq!(evener(&running, &["reload"]).await, (0, expected.to_owned(), String::new()));
    // The same connection goes on by the new one.
    client.send(ask).await;
    assert_eq!(client.response().await.status, 202);
    running.tells("configuration is served generation=2 why=command").await;
    write(&running, &format!("# The same.\n{}", responding("", 202)));
    let again = evener(&running, &["reload", "-c", "edge.yaml"]).await;
    assert_eq!(again, (0, "no difference\n".to_owned(), String::new()));
    let status = status(&running).await;
    assert_eq!((&status["generation"], &status["changes_refused"]), (&2.into(), &0.into()));
    write(&running, &responding("", 203));
    let (code, out, err) = evener(&running, &["reload", "--json"]).await;
    assert_eq!((code, &*err), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["generation"], &json["warnings"]), (&3.into(), &"".into()));
    assert_eq!(json["diff"]["changes"][0]["name"], "all");
    assert_eq!((&json["files"], &json["restart"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[tokio::test]
async fn what_waits_for_another_process_and_what_is_surely_not_meant_is_told() {
    let running = Running::start(&responding("", 201), 1).await;
    let pools = "pools: { unused: { endpoints: [127.0.0.1:1] } }\n";
    write(&running, &format!("{}{pools}", responding("threads: 1, control_socket: off", 202)));
    let (code, out, err) = evener(&running, &["reload", "--socket", "run/evener.sock"]).await;
    assert_eq!(code, 0, "{err}");
    let later = "counts from the next upgrade or start on\n";
    for key in ["server.threads", "server.control_socket"] {
        assert!(out.contains(&format!("! {key}: {later}")), "{out}");
    }
    assert_eq!(out.matches("! ").count(), 2, "{out}");
    assert!(err.contains("warning: ") && err.contains("unused"), "{err}");
    assert_eq!(answer(&running).await, 202);
    // The socket stays where it was.
    let (code, out, _) = evener(&running, &["reload", "--socket", "run/evener.sock"]).await;
    assert_eq!((code, &*out), (0, "no difference\n"));
}

#[tokio::test]
async fn logs_change_while_they_are_written() {
    let logging = |status: u16, log: &str| {
        responding("", status).replace("log: { access: { format: off } }", &format!("log: {{ {log} }}"))
    };
    let running = Running::start(&logging(201, "access: { to: one.log }"), 1).await;
    assert_eq!(answer(&running).await, 201);
    write(&running, &logging(202, "level: error, access: { to: two.log }"));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(answer(&running).await, 202);
    let lines = |name: &str| std::fs::read_to_string(running.file(name)).unwrap_or_default().lines().count();
    eventually("each line is where it belongs", async || (lines("one.log"), lines("two.log")) == (1, 1))
        .await;
    // One that cannot be opened is refused as a whole.
    write(&running, &logging(203, "access: { to: gone/three.log }"));
    let (code, _, err) = evener(&running, &["reload"]).await;
    assert!(code == 64 && err.contains("gone/three.log"), "{code}: {err}");
    assert_eq!(answer(&running).await, 202);
    eventually("the old log goes on", async || lines("two.log") == 2).await;
    write(&running, &logging(204, "level: info, access: { to: two.log }"));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    running.tells("configuration is served generation=3 why=command").await;
    assert!(!running.has_told("configuration is served generation=2"));
}

#[tokio::test]
async fn sighup_reloads() {
    let running = Running::start(&responding("", 201), 1).await;
    for (generation, status) in [(2, 202), (3, 203)] {
        write(&running, &responding("", status));
        running.signal(Signal::HUP);
        running.tells(&format!("configuration is served generation={generation} why=signal")).await;
        running
            .tells(&format!("configuration: ~ routes.all: respond.status: {} -> {status}", status - 1))
            .await;
        assert_eq!(answer(&running).await, status);
    }
    write(&running, "routes: 5\n");
    running.signal(Signal::HUP);
    running.tells("configuration is refused, what was served stays why=signal").await;
    running.tells("configuration: edge.yaml:1:9: routes: ").await;
    assert_eq!(answer(&running).await, 203);
}

#[tokio::test]
async fn a_reload_is_made_when_whoever_has_asked_is_gone() {
    let running = Running::start(&responding("", 201), 1).await;
    write(&running, &responding("", 202));
    let mut client = UnixStream::connect(running.file("run/evener.sock")).unwrap();
    client.write_all(b"{\"v\":1,\"do\":{\"reload\":{\"probation\":null}}}\n").unwrap();
    drop(client);
    eventually("it is served", async || answer(&running).await == 202).await;
    assert_eq!(status(&running).await["generation"], 2);
}

#[tokio::test]
async fn a_process_that_drains_can_be_reloaded() {
    let mut gated = Gated::start().await;
    let mut client = gated.begin().await;
    gated.running.signal(Signal::TERM);
    gated.running.tells("draining ").await;
    let config = std::fs::read_to_string(gated.running.file("edge.yaml")).unwrap();
    write(&gated.running, &config.replace("pool: app }]", "respond: { status: 299 } }]"));
    let (code, out, err) = evener(&gated.running, &["reload"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("~ routes.route-1"), "{out}");
    assert!(gated.running.is_running());
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.status, 200);
    assert_eq!(gated.running.exit_code().await, Some(0));
}

#[test]
fn without_a_process_there_is_nothing_to_ask() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["reload"][..], &["rollback"], &["rollback", "--to", "1"], &["history"], &["reload", "--json"]]
    {
        let (code, out, err) = told(&command(folder.path(), arguments).output().unwrap());
        assert_eq!((code, &*out), (1, ""), "{arguments:?}");
        assert!(err.starts_with("evener: nobody answers on run/evener.sock: "), "{err}");
    }
}
