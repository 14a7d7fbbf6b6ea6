//! What goes wrong when processes take over from each other, and what clients notice of it: nothing.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::send;
use crate::support::eventually;

use super::clients::Http1;
use super::site::Site;

fn kill(id: u32) {
    send(id, Signal::KILL);
}

/// A program in the folder of the site.
fn script(site: &Site, text: &str) -> String {
    let path = site.running.file("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The site still is served as it was, by this process alone.
async fn is_served_by(site: &Site, process: u32) {
    assert_eq!(site.serving().await, process);
    assert_eq!(site.running.status().await["draining"], false);
    eventually("no other process is left", async || site.processes_of_any_kind() == [process]).await;
    site.serves_the_current().await;
}

/// The command fails and says so, and the old process serves on, without a loss.
async fn fails(site: &mut Site, arguments: &[&str]) -> (i32, String) {
    let process = site.serving().await;
    let clients = site.clients().await;
    let (code, _, err) = site.running.evener(arguments).await;
    assert_ne!(code, 0, "{arguments:?} was to fail");
    assert!(!err.trim().is_empty(), "{arguments:?} failed without a word");
    clients.go_on().await;
    is_served_by(site, process).await;
    clients.finish().await.without_a_loss();
    (code, err)
}

async fn echoes(stream: &mut TcpStream) {
    let mut heard = [0; 5];
    stream.write_all(b"hello").await.unwrap();
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

// === A new process that does not come up ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_at_once_is_told_and_changes_nothing() {
    let mut site = Site::start("500ms").await;
    let (_, err) = fails(&mut site, &["upgrade", "--binary", "/bin/false"]).await;
    assert!(err.contains("the new process exited with code 1 before `hello`"), "{err}");
    let (_, err) = fails(&mut site, &["upgrade", "--binary", "/there/is/no/such/program"]).await;
    assert!(err.contains("`/there/is/no/such/program` cannot be started"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_hangs_is_ended_and_changes_nothing() {
    let mut site = Site::start("500ms").await;
    let program = script(&site, "exec sleep 1000");
    let (_, err) = fails(&mut site, &["upgrade", "--timeout", "1s", "--binary", &program]).await;
    assert!(err.contains("`hello` did not come within 1s"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_before_it_is_ready_changes_nothing() {
    let mut site = Site::start("500ms").await;
    let program = script(&site, "echo $$ > id.new && mv id.new id; exec sleep 1000");
    let id = site.running.file("id");
    let killing = async {
        eventually("the program runs", async || id.exists()).await;
        kill(std::fs::read_to_string(&id).unwrap().trim().parse().unwrap());
    };
    let arguments = ["upgrade", "--binary", &program];
    tokio::join!(fails(&mut site, &arguments), killing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_named_and_changes_nothing() {
    let mut site = Site::start("500ms").await;
    let taken = TcpListener::bind((site.addresses.web.ip(), 8200)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = site.current.text.replacen(
        "listeners:\n",
        &format!("listeners:\n  taken: {{ bind: '{address}' }}\n"),
        1,
    );
    site.write_text(&text);
    for command in ["reload", "upgrade"] {
        let (_, err) = fails(&mut site, &[command, "-c", "edge.yaml"]).await;
        assert!(err.contains("taken") && err.contains(&address), "{command}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_refused_is_told_with_64_and_changes_nothing() {
    let mut site = Site::start("500ms").await;
    site.write_text(&format!("{}listenars: {{}}\n", site.current.text));
    for command in ["reload", "upgrade"] {
        let (code, err) = fails(&mut site, &[command, "-c", "edge.yaml"]).await;
        assert_eq!(code, 64, "{command}: {err}");
        assert!(err.contains("listenars"), "{command}: {err}");
    }
}

// === Processes that are killed ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_the_old_process_outlive_the_death_of_the_new() {
    let site = Site::start("500ms").await;
    let mut stream = TcpStream::connect(site.addresses.tcp).await.unwrap();
    echoes(&mut stream).await;
    let old = site.upgrade().await;
    kill(site.serving().await);
    eventually("the new process is gone", async || site.processes() == [old]).await;
    for _ in 0..20 {
        echoes(&mut stream).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_the_death_of_the_old_process_but_its_own_streams() {
    let mut site = Site::start("500ms").await;
    let mut stream = TcpStream::connect(site.addresses.tcp).await.unwrap();
    echoes(&mut stream).await;
    let old = site.upgrade().await;
    let new = site.serving().await;
    let clients = site.clients().await;
    assert!(site.processes().contains(&old), "its stream keeps it");
    echoes(&mut stream).await;
    kill(old);
    // However it breaks, it does.
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    clients.go_on().await;
    clients.finish().await.without_a_loss();
    is_served_by(&site, new).await;
    site.upgrade().await;
}

// === A disk that takes nothing ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_on_a_full_disk_loses_lines_and_no_request() {
    assert!(Path::new("/dev/full").exists());
    let mut site = Site::start("500ms").await;
    let (before, _) = site.current.text.rsplit_once("log:").unwrap();
    let full = format!("{before}log: {{ access: {{ to: /dev/full }} }}\n");
    site.write_text(&full);
    let clients = site.clients().await;
    site.reload().await;
    clients.go_on().await;
    site.upgrade().await;
    clients.go_on().await;
    clients.finish().await.without_a_loss();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_cannot_be_kept_is_told_and_changes_nothing() {
    let mut site = Site::start("500ms").await;
    let text = site.current.text.replacen("server:\n", "server:\n  secret_file: /proc/secret\n", 1);
    let pool = format!(
        "pools:\n  clings: {{ sticky: {{ cookie: c }}, endpoints: ['{}', '127.0.0.1:1'] }}\n",
        site.addresses.direct
    );
    site.write_text(&text.replacen("pools:\n", &pool, 1).replacen(
        "routes:\n",
        "routes:\n  - { match: { path: /clings }, pool: clings }\n",
        1,
    ));
    for command in ["reload", "upgrade"] {
        let (_, err) = fails(&mut site, &[command, "-c", "edge.yaml"]).await;
        assert!(err.contains("/proc/secret"), "{command}: {err}");
    }
}

// === Many at once ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_listeners_are_handed_over_and_none_misses_a_connection() {
    const COUNT: u16 = 40;
    let site = Site::start("500ms").await;
    let ip = site.addresses.web.ip();
    let listeners: String =
        (0..COUNT).map(|number| format!("  many-{number}: {{ bind: '{ip}:{}' }}\n", 8300 + number)).collect();
    site.write_text(&site.current.text.replacen("listeners:\n", &format!("listeners:\n{listeners}"), 1));
    site.reload().await;
    let mut knocking = JoinSet::new();
    let (stop, _) = tokio::sync::watch::channel(false);
    for number in 0..COUNT {
        let stop = stop.subscribe();
        knocking.spawn(async move {
            let mut answered = 0;
            while !*stop.borrow() || answered == 0 {
                let mut connection = Http1::connect((ip, 8300 + number).into()).await?;
                connection
                    .ask(b"GET /generation HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n")
                    .await?;
                answered += 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Ok::<_, String>(())
        });
    }
    for _ in 0..2 {
        let old = site.upgrade().await;
        eventually("the old process ends", async || !site.processes().contains(&old)).await;
    }
    stop.send(true).unwrap();
    let outcomes = knocking.join_all().await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_from_two_shells_at_once_leave_one_process_that_serves_the_last_file() {
    let mut site = Site::start("500ms").await;
    let process = site.serving().await;
    let clients = site.clients().await;
    let folder = site.folder();
    let shells: Vec<_> = (0..2)
        .map(|_| {
            let folder = folder.clone();
            tokio::task::spawn_blocking(move || {
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evener"));
                command.args(["reload", "-c", "edge.yaml"]).current_dir(folder);
                (0..25).map(|_| command.output().unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    for _ in 0..10 {
        let next = site.variations.next();
        site.write(next);
        clients.go_on().await;
    }
    for shell in shells {
        for output in shell.await.unwrap() {
            let err = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() || err.starts_with("evener: "), "{:?}: {err}", output.status);
        }
    }
    site.reload().await;
    clients.go_on().await;
    clients.finish().await.without_a_loss();
    is_served_by(&site, process).await;
}
