//! With real processes: the new one is this test binary, which is started again to run [`new_process`] alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;

use rustix::process::{Signal, getpid, kill_process};
use tokio::time::{Instant, timeout};

use super::*;

/// What the new process is to do, as in "exit sockets": end when it comes to that step.
const PART: &str = "EVENER_TEST_PART";

fn new_process_with(part: &str) -> Program {
    let own = std::env::current_exe().unwrap();
    // What libtest prints is nothing for this test's reader.
    let mut program = program("sh", &["-c", r#"exec "$0" "$@" >/dev/null"#, own.to_str().unwrap()]);
    let test = "handover::tests::by_process::new_process";
    program.args.extend(["--exact", test, "--ignored", "--nocapture"].map(Into::into));
    // Sockets of another process must not be taken for this one's.
    program.env = vec![(PART.into(), part.into()), ("LISTEN_FDS".into(), "1".into())];
    program
}

#[test]
#[ignore = "this is the new process of other tests"]
fn new_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    exit(runtime.block_on(play(&part)));
}

/// The new process as it goes; what it ends with is its exit code.
async fn play(part: &str) -> i32 {
    let come_to = |step: &str| match part.split_once(' ') {
        Some(("exit", at)) if at == step => exit(9),
        Some(("die", at)) if at == step => kill_process(getpid(), Signal::KILL).unwrap(),
        _ => {}
    };
    come_to("start");
    assert!(std::env::var_os("LISTEN_FDS").is_none());
    let mut taker = Taker::inherit(Limits::default()).unwrap().unwrap();
    assert!(Taker::inherit(Limits::default()).unwrap().is_none());
    assert_eq!(std::io::stdin().read(&mut [0]).unwrap(), 0);
    if part == "fail" {
        taker.fail("configuration", "evener.yaml:1:1: nothing is there").await.unwrap();
        return 64;
    }
    taker.greet(&Peer { version: "2".to_owned(), pid: std::process::id() }).await.unwrap();
    come_to("sockets");
    let taken = taker.take_sockets().await.unwrap();
    come_to("state");
    let state = taker.take_state().await.unwrap();
    come_to("ready");
    let mut predecessor = match taker.ready(Vec::new()).await {
        Ok(predecessor) => predecessor,
        Err(error) if error.to_string().ends_with("the old process stays: SIGTERM came") => return 3,
        Err(error) => panic!("{error}"),
    };
    predecessor.serving().await.unwrap();
    come_to("handed");
    if part == "leave" {
        predecessor.leave().await.unwrap();
        return 0;
    }
    for Taken { socket, .. } in taken {
        let (mut client, _) = TcpListener::from(socket).accept().unwrap();
        client.write_all(&state.document).unwrap();
    }
    assert_eq!(predecessor.gone().await, End::Regular);
    0
}

/// Goes all the way with such a new process.
async fn upgrade(part: &str, sockets: &[OwnedFd], state: &State) -> Result<Successor, HandoverError> {
    let mut giver = Giver::start(&new_process_with(part), Limits::default())?;
    let pid = giver.pid().unwrap();
    let all = async {
        assert_eq!(giver.greet(&peer("1"), 3).await?.pid, pid);
        let entry = |ordinal| SocketEntry {
            kind: SocketKind::Connections,
            listener: None,
            address: String::new(),
            ordinal,
            is_own: false,
        };
        let entries: Vec<_> = (0..sockets.len()).map(|i| entry(u32::try_from(i).unwrap())).collect();
        assert!(giver.give_sockets(&given(sockets, &entries)).await?.state);
        giver.give_state(state).await?;
        giver.ready().await?;
        giver.go().await
    };
    all.await.inspect_err(|_| assert!(!exists(pid)))
}

/// Whether there is such a process, be it one that only has to be waited for.
fn exists(pid: u32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).unwrap()
}

#[tokio::test]
async fn a_new_process_serves_on_the_sockets_with_the_state_of_the_old_one() {
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let places: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let sockets: Vec<OwnedFd> = listeners.into_iter().map(OwnedFd::from).collect();
    let state = State { document: b"what the old one knew".to_vec(), attachments: Vec::new() };
    let mut successor = upgrade("serve", &sockets, &state).await.unwrap();
    drop(sockets);
    for place in places {
        let mut read = Vec::new();
        TcpStream::connect(place).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, state.document);
    }
    assert!(timeout(Duration::from_millis(5), successor.gone()).await.is_err());
    let pid = successor.pid().unwrap();
    successor.done().await.unwrap();
    // It has lost its old process, not its life: it ends by itself.
    let given_up = Instant::now() + Duration::from_secs(20);
    while exists(pid) && Instant::now() < given_up {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!exists(pid));
}

#[tokio::test]
async fn a_new_process_that_ends_at_any_step_is_told_with_how_it_did() {
    for (step, stage, awaited) in [
        ("start", "the greeting", "`hello`"),
        ("sockets", "the sockets", "`need`"),
        ("state", "the sockets", "`need`"),
        ("ready", "the last step", "`ready`"),
    ] {
        for (how, end) in [("exit", "exited with code 9"), ("die", "was killed by signal 9")] {
            let error = upgrade(&format!("{how} {step}"), &[], &State::default()).await.unwrap_err();
            let error = error.to_string();
            let expected = format!("the hand-over failed at {stage}: the new process {end} before {awaited}");
            assert_eq!(error, expected);
        }
    }
}

#[tokio::test]
async fn a_refused_configuration_is_told_with_its_diagnostics() {
    let error = upgrade("fail", &[], &State::default()).await.unwrap_err().to_string();
    let expected = "the hand-over failed at the greeting: the new process could not go on (configuration): \
                    evener.yaml:1:1: nothing is there";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_successor_that_leaves_is_known_from_one_that_dies() {
    for (part, end) in [
        ("leave", End::Regular),
        ("exit handed", End::Died("exited with code 9".to_owned())),
        ("die handed", End::Died("was killed by signal 9".to_owned())),
    ] {
        let mut successor = upgrade(part, &[], &State::default()).await.unwrap();
        let pid = successor.pid().unwrap();
        assert_eq!(successor.gone().await, end, "{part}");
        assert!(!exists(pid));
    }
}

#[tokio::test]
async fn programs_that_cannot_be_started_or_say_nothing_are_told() {
    let started = Giver::start(&program("/nowhere/evener", &[]), Limits::default());
    let error = started.unwrap_err().to_string();
    let expected =
        "the hand-over failed at the start: `/nowhere/evener` cannot be started: No such file or directory";
    assert!(error.starts_with(expected), "{error}");
    let mut giver = Giver::start(&program("sh", &["-c", "exit 5"]), Limits::default()).unwrap();
    let error = giver.greet(&peer("1"), 3).await.unwrap_err().to_string();
    assert!(error.ends_with("the new process exited with code 5 before `hello`"), "{error}");
}

#[tokio::test]
async fn a_process_that_hangs_is_killed_even_when_it_ignores_the_first_signal() {
    let limits = Limits { hello: Duration::from_millis(50), ..Limits::default() };
    // A signal that is ignored is so in what follows, too.
    for script in ["exec sleep 1000", "trap '' TERM; exec sleep 1000"] {
        let mut giver = Giver::start(&program("sh", &["-c", script]), limits).unwrap();
        let pid = giver.pid().unwrap();
        let error = giver.greet(&peer("1"), 3).await.unwrap_err().to_string();
        assert!(error.ends_with("`hello` did not come within 50ms"), "{error}");
        assert!(!exists(pid));
    }
}

#[tokio::test]
async fn a_process_that_leaves_its_socket_to_another_is_noticed_all_the_same() {
    // What holds the socket ends by itself after that.
    let script = "sleep 5 <&0 & exit 6";
    let mut giver = Giver::start(&program("sh", &["-c", script]), Limits::default()).unwrap();
    let error = giver.greet(&peer("1"), 3).await.unwrap_err().to_string();
    assert!(error.ends_with("the new process exited with code 6 before `hello`"), "{error}");
}

#[tokio::test]
async fn a_giver_that_is_dropped_leaves_no_process_behind() {
    let giver = Giver::start(&program("sleep", &["1000"]), Limits::default()).unwrap();
    let pid = giver.pid().unwrap();
    drop(giver);
    let given_up = Instant::now() + Duration::from_secs(20);
    while exists(pid) && Instant::now() < given_up {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!exists(pid));
}

#[tokio::test]
async fn a_new_process_learns_why_the_old_one_stays_and_ends() {
    let mut giver = Giver::start(&new_process_with("serve"), Limits::default()).unwrap();
    let pid = giver.pid().unwrap();
    giver.greet(&peer("1"), 3).await.unwrap();
    assert!(giver.give_sockets(&[]).await.unwrap().state);
    giver.give_state(&State::default()).await.unwrap();
    giver.ready().await.unwrap();
    assert_eq!(giver.stay("SIGTERM came").await.and_then(|status| status.code()), Some(3));
    assert!(!exists(pid));
}
