//! What a process does where it may not have as many open files as it would need.

use std::net::TcpStream;
use std::process::Command;

use crate::support::eventually;

use super::control::{evener, get};
use super::{Place, Running, told};

/// What a process is asked to have besides its listeners.
const BESIDES: usize = 64;
/// Of these, what nothing is in while nobody is served.
const ROOM: usize = 32;
/// What one listener of each kind takes with two threads: two, two, and five for each thread.
const OF_EACH_KIND: usize = 14;

/// So many addresses of listeners of each kind, of which `web` is the first.
fn with(connections: usize, files: usize, datagrams: usize) -> String {
    let many =
        |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let web = many(connections, &|_| "'127.0.0.1:0'".to_owned());
    let file = many(files, &|number| format!("file{number}: {{ bind: 'unix:./{number}.sock' }}"));
    let dns =
        many(datagrams, &|number| format!("dns{number}: {{ bind: '127.83.1.1:0', udp: {{ pool: dns }} }}"));
    let rest = [file, dns].into_iter().filter(|one| !one.is_empty()).map(|one| format!(", {one}"));
    format!(
        "server: {{ threads: 2 }}
listeners: {{ web: {{ bind: [{web}], limits: {{ header: {{ timeout: 1s }} }} }}{} }}
pools: {{ dns: {{ endpoints: ['127.0.0.1:9', '127.0.0.2:9'] }} }}
routes: [{{ respond: {{ status: 200 }} }}]
log: {{ access: {{ format: off }} }}
",
        rest.collect::<String>()
    )
}

/// The command that serves it where so many files may be open.
fn command(place: &Place, limit: usize) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {limit} && exec \"$0\" run -c edge.yaml");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_evener")]).current_dir(place.path());
    command
}

async fn start(config: &str, limit: usize) -> Running {
    let place = Place::with(config);
    let command = command(&place, limit);
    Running::launch(place, command, 1).await
}

fn open_files(running: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", running.id())).unwrap().count()
}

fn too_few(limit: usize, listeners: usize) -> String {
    format!(
        "too few open files: this process may have {limit}, and needs {} at least, {listeners} of them for its listeners\n  \
         help: raise the limit (`ulimit -n`, LimitNOFILE in a unit); many clients and endpoints need more\n",
        listeners + BESIDES
    )
}

#[test]
fn a_start_with_too_few_is_refused_with_what_is_needed() {
    let place = Place::with(&with(1, 1, 1));
    for limit in [16, 34, OF_EACH_KIND + BESIDES - 1] {
        let (code, _, err) = told(&command(&place, limit).output().unwrap());
        assert_eq!((code, err), (1, format!("evener: {}", too_few(limit, OF_EACH_KIND))));
    }
}

#[tokio::test]
async fn what_is_said_to_be_needed_is_what_a_process_at_rest_has_open_and_room_to_serve() {
    let need = OF_EACH_KIND + BESIDES;
    let (one, three) =
        (start(&with(1, 1, 1), need).await, start(&with(3, 3, 3), 3 * OF_EACH_KIND + BESIDES).await);
    eventually("all is open", async || {
        open_files(&three).checked_sub(open_files(&one)) == Some(2 * OF_EACH_KIND)
    })
    .await;
    assert!(open_files(&one) + ROOM <= need, "{} are open", open_files(&one));
    assert_eq!((get(&one).await, get(&three).await), (200, 200));
}

#[tokio::test]
async fn a_reload_that_needs_more_is_refused() {
    let running = start(&with(1, 1, 1), OF_EACH_KIND + BESIDES).await;
    std::fs::write(running.file("edge.yaml"), with(2, 1, 1)).unwrap();
    let (code, _, err) = evener(&running, &["reload"]).await;
    assert_eq!((code, err), (64, too_few(OF_EACH_KIND + BESIDES, OF_EACH_KIND + 2)));
    assert_eq!(get(&running).await, 200);
}

#[tokio::test]
async fn clients_that_cannot_be_accepted_are_told_of_once_in_a_while() {
    let running = start(&with(1, 0, 0), 2 + BESIDES).await;
    let silent: Vec<_> = (0..2 + BESIDES).map(|_| TcpStream::connect(running.address()).unwrap()).collect();
    running.tells("cannot accept listener=web").await;
    // Once those that were accepted have had their time, after many more attempts.
    assert_eq!(get(&running).await, 200);
    assert_eq!(running.times_told("cannot accept"), 1);
    drop(silent);
}

#[tokio::test]
async fn sockets_for_connections_need_no_further_files_to_be_handed_over() {
    let running = start(&with(120, 0, 0), 240 + BESIDES).await;
    let (code, _, err) = evener(&running, &["upgrade"]).await;
    assert_eq!((code, &*err), (0, ""));
    assert_eq!(get(&running).await, 200);
}

#[tokio::test]
async fn an_upgrade_for_which_there_are_too_few_says_at_which_step_and_what_to_do() {
    // How many are open at once is a matter of how fast the other process takes what it is sent: it may come to an end.
    let running = start(&with(1, 0, 20), 202 + BESIDES).await;
    let (code, _, err) = evener(&running, &["upgrade"]).await;
    let expected = "evener: nothing has changed: the hand-over failed at the sockets: this process has as many files \
                    open as it may\n  help: raise the limit of open files (`ulimit -n`, LimitNOFILE in a unit), which \
                    takes a restart\n";
    if code != 0 {
        assert_eq!((code, &*err), (1, expected));
        eventually("what was opened for it is closed", async || open_files(&running) + ROOM <= 202 + BESIDES)
            .await;
    }
    assert_eq!(get(&running).await, 200);
}
