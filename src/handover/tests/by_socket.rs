use std::fs::File;
use std::io::{Read, Write};

use rustix::io::FdFlags;

use super::*;

/// The frames of an old process at each step, and the name of what the new one waits for there.
const OLD_STEPS: [(&str, &str); 4] = [
    (r#"{"type":"welcome","protocol":1,"version":"1","pid":7,"generation":3}"#, "`welcome`"),
    (r#"{"type":"sockets","entries":[]}"#, "`sockets`"),
    (r#"{"type":"state","document":0,"attachments":[]}"#, "`state`"),
    (r#"{"type":"go"}"#, "`go`"),
];

const NEW_STEPS: [(&str, &str); 3] = [
    (r#"{"type":"hello","protocol":{"min":1,"max":1},"version":"2","pid":8}"#, "`hello`"),
    (r#"{"type":"need","state":true}"#, "`need`"),
    (r#"{"type":"ready"}"#, "`ready`"),
];

/// Goes all the way as the new process; the first error is the end.
async fn take_all(mut taker: Taker) -> Result<(Vec<Taken>, State, Predecessor), HandoverError> {
    taker.greet(&peer("2")).await?;
    let taken = taker.take_sockets().await?;
    let state = taker.take_state().await?;
    Ok((taken, state, serve(taker).await?))
}

/// Takes the last steps as the new process.
async fn serve(taker: Taker) -> Result<Predecessor, HandoverError> {
    let mut predecessor = taker.ready(Vec::new()).await?;
    predecessor.serving().await?;
    Ok(predecessor)
}

/// Goes all the way as the old process.
async fn give_all(mut giver: Giver, given: &[Given<'_>], state: &State) -> Result<Successor, HandoverError> {
    giver.greet(&peer("1"), 3).await?;
    if giver.give_sockets(given).await?.state {
        giver.give_state(state).await?;
    }
    giver.ready().await?;
    giver.go().await
}

async fn taken_error(written: &[u8]) -> String {
    let (taker, old) = taker(Limits::default());
    write(&old, written);
    old.shutdown(std::net::Shutdown::Write).unwrap();
    take_all(taker).await.unwrap_err().to_string()
}

async fn given_error(written: &[u8]) -> HandoverError {
    let (giver, new) = giver(Limits::default());
    write(&new, written);
    give_all(giver, &[], &State::default()).await.unwrap_err()
}

fn joined<const N: usize>(steps: [(&str, &str); N], count: usize) -> Vec<u8> {
    steps[..count].iter().flat_map(|(json, _)| message(json)).collect()
}

#[tokio::test]
async fn three_hundred_sockets_and_a_state_arrive_as_they_were() {
    let (giver, other) = giver(Limits::default());
    let taker = Taker::new(other, Limits::default()).unwrap();
    let (writers, entries, readers) = pipes(300);
    let bytes = |size: usize| (0..size).map(|i| (i % 251) as u8).collect::<Vec<_>>();
    let attachment = |name: &str, size| Attachment { name: name.to_owned(), bytes: bytes(size) };
    let state = State {
        document: bytes(50 << 20),
        attachments: vec![attachment("a", 0), attachment("b", 3 << 20), attachment("c", 1)],
    };
    let given = given(&writers, &entries);
    let (successor, taken) = tokio::join!(give_all(giver, &given, &state), take_all(taker));
    let (taken, arrived, _predecessor) = taken.unwrap();
    successor.unwrap();
    assert!(arrived == state);
    drop(writers);
    for ((expected, Taken { entry, socket }), mut reader) in entries.iter().zip(taken).zip(readers) {
        assert_eq!(entry, *expected);
        assert!(rustix::io::fcntl_getfd(&socket).unwrap().contains(FdFlags::CLOEXEC));
        let text = entry.ordinal.to_string();
        File::from(socket).write_all(text.as_bytes()).unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
    }
}

#[tokio::test]
async fn both_learn_who_the_other_is_and_a_new_process_may_do_without_the_state() {
    let (mut giver, other) = giver(Limits::default());
    let mut taker = Taker::new(other, Limits::default()).unwrap();
    let (own, other) = (peer("1"), peer("2"));
    let (new, old) = tokio::join!(giver.greet(&own, 3), taker.greet(&other));
    assert_eq!(new.unwrap(), peer("2"));
    assert_eq!(old.unwrap(), Welcome { peer: peer("1"), generation: 3 });
    let taking = async {
        assert!(taker.take_sockets().await.unwrap().is_empty());
        taker.skip_state().await
    };
    let (need, skipped) = tokio::join!(giver.give_sockets(&[]), taking);
    skipped.unwrap();
    assert_eq!(need.unwrap(), Need { state: false });
    let going = async {
        giver.ready().await?;
        giver.go().await
    };
    let (successor, predecessor) = tokio::join!(going, serve(taker));
    assert!(successor.is_ok() && predecessor.is_ok());
}

#[tokio::test]
async fn what_a_later_version_says_besides_is_skipped() {
    let mut written = Vec::new();
    for (json, _) in OLD_STEPS {
        written.extend(message(r#"{"type":"event","what":{"any":[1,2]}}"#));
        written.extend(frame(b'B', b"belongs to it"));
        written.extend(message(&json.replacen('{', r#"{"more":[{}],"#, 1)));
    }
    let (taker, old) = taker(Limits::default());
    write(&old, &written);
    assert!(take_all(taker).await.is_ok());
    let kind: SocketEntry = serde_json::from_str(r#"{"kind":"quic","address":"x","more":1}"#).unwrap();
    assert_eq!(kind.kind, SocketKind::Other);
}

#[tokio::test]
async fn every_message_out_of_its_turn_is_told_with_what_was_waited_for() {
    for (step, (_, awaited)) in OLD_STEPS.into_iter().enumerate() {
        for (other, (wrong, _)) in OLD_STEPS.into_iter().enumerate().filter(|(other, _)| *other != step) {
            let error = taken_error(&[joined(OLD_STEPS, step), message(wrong)].concat()).await;
            let name = OLD_STEPS[other].1;
            assert!(error.ends_with(&format!(": {name} came in place of {awaited}")), "{error}");
        }
        let error = taken_error(&[joined(OLD_STEPS, step), frame(b'B', b"x")].concat()).await;
        assert!(error.ends_with(&format!(": `bytes` came in place of {awaited}")), "{error}");
    }
    for (step, (_, awaited)) in NEW_STEPS.into_iter().enumerate() {
        for (other, (wrong, _)) in NEW_STEPS.into_iter().enumerate().filter(|(other, _)| *other != step) {
            let error = given_error(&[joined(NEW_STEPS, step), message(wrong)].concat()).await;
            let name = NEW_STEPS[other].1;
            let error = error.to_string();
            assert!(error.ends_with(&format!(": {name} came in place of {awaited}")), "{error}");
        }
    }
}

#[tokio::test]
async fn a_process_that_takes_its_own_steps_out_of_turn_is_told() {
    let (mut taker, _old) = taker(Limits::default());
    let error = taker.take_sockets().await.unwrap_err().to_string();
    let expected =
        "the hand-over failed at the greeting: this step cannot be taken now: the next one is the greeting";
    assert_eq!(error, expected);
    let error = taker.greet(&peer("2")).await.unwrap_err().to_string();
    assert!(error.ends_with("the next one is none, it is over"), "{error}");
    let (mut giver, _new) = giver(Limits::default());
    assert!(giver.give_state(&State::default()).await.is_err());
    assert_eq!(giver.pid(), None);
}

#[tokio::test]
async fn an_old_process_that_dies_is_noticed_at_each_step() {
    let stages = ["the greeting", "the sockets", "the state", "the last step"];
    for (step, ((_, awaited), stage)) in OLD_STEPS.into_iter().zip(stages).enumerate() {
        let error = taken_error(&joined(OLD_STEPS, step)).await;
        let expected = format!(
            "the hand-over failed at {stage}: the other process closed the connection before {awaited}"
        );
        assert_eq!(error, expected);
        let half = &message(OLD_STEPS[step].0)[..9];
        let error = taken_error(&[&joined(OLD_STEPS, step), half].concat()).await;
        assert!(error.ends_with("closed the connection after 9 bytes of a frame"), "{error}");
    }
    let half_given = [
        (1, r#"{"type":"sockets","entries":[{"kind":"control","address":"a"}]}"#, "`sockets`"),
        (2, r#"{"type":"state","document":1,"attachments":[]}"#, "`state`"),
    ];
    for (step, announced, awaited) in half_given {
        let written = [joined(OLD_STEPS, step), message(announced)].concat();
        let error = taken_error(&written).await;
        assert!(error.ends_with(&format!("closed the connection before {awaited}")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_in_time_is_told() {
    for (step, (_, awaited)) in OLD_STEPS.into_iter().enumerate() {
        let (taker, old) = taker(Limits::default());
        write(&old, &joined(OLD_STEPS, step));
        let error = take_all(taker).await.unwrap_err().to_string();
        assert!(error.ends_with(&format!(": {awaited} did not come within 30s")), "{error}");
    }
    for (step, limit) in [60, 30, 120].into_iter().enumerate() {
        let (giver, new) = giver(Limits::default());
        write(&new, &joined(NEW_STEPS, step));
        let error = give_all(giver, &[], &State::default()).await.unwrap_err().to_string();
        let awaited = NEW_STEPS[step].1;
        assert!(error.ends_with(&format!(": {awaited} did not come within {limit}s")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_process_that_does_not_read_is_not_waited_for() {
    let (giver, new) = giver(Limits::default());
    write(&new, &joined(NEW_STEPS, 3));
    let state = State { document: vec![0; 8 << 20], attachments: Vec::new() };
    let error = give_all(giver, &[], &state).await.unwrap_err().to_string();
    assert!(error.ends_with("the state: that the state is taken did not come within 30s"), "{error}");
}

#[tokio::test]
async fn versions_without_a_common_one_are_refused_on_both_sides() {
    for (min, max, theirs) in [(2, 3, "versions 2 to 3"), (0, 0, "version 0")] {
        let hello =
            format!(r#"{{"type":"hello","protocol":{{"min":{min},"max":{max}}},"version":"9","pid":8}}"#);
        let (mut giver, new) = giver(Limits::default());
        write(&new, &message(&hello));
        let error = giver.greet(&peer("1"), 3).await.unwrap_err().to_string();
        let expected = format!(
            "the hand-over failed at the greeting: the other process speaks {theirs} of the hand-over, \
             and this one version 1; restart in place of the upgrade"
        );
        assert_eq!(error, expected);
        let mut new = Connection::new(new).unwrap();
        let refused = new.hear("`welcome`").await.unwrap_err().to_string();
        let reason =
            format!("the old process stays: it speaks version 1 of the hand-over, and the new one {theirs}");
        assert_eq!(refused, reason);
    }
    let welcome = message(&OLD_STEPS[0].0.replace(r#""protocol":1"#, r#""protocol":2"#));
    let error = taken_error(&welcome).await;
    assert!(error.contains("the other process speaks version 2 of the hand-over"), "{error}");
    let hello = r#"{"type":"hello","protocol":{"min":0,"max":9},"version":"9","pid":8}"#;
    let (mut giver, new) = giver(Limits::default());
    write(&new, &message(hello));
    assert!(giver.greet(&peer("1"), 3).await.is_ok());
}

#[tokio::test]
async fn what_is_too_large_or_makes_no_sense_is_refused_before_it_is_read() {
    let cases: [(&[u8], &str); 6] = [
        (b"M\xff\xff\xff\xff", "a message of 4294967295 bytes is more than the 4194304 that are allowed"),
        (b"B\x00\x10\x00\x01", "a part of 1048577 bytes is more than the 1048576 that are allowed"),
        (b"D\x00\x00\x00\x05", "a count of 5 bytes is more than the 4 that are allowed"),
        (b"D\x00\x00\x00\x04\x00\x00\x00\x01", "0 descriptors came in place of 1"),
        (b"X\x00\x00\x00\x00", "what came is not understood: a frame begins with byte 88"),
        (b"M\x00\x00\x00\x00", "what came is not understood: EOF while parsing a value at line 1 column 0"),
    ];
    for (written, expected) in cases {
        let error = taken_error(written).await;
        assert_eq!(error, format!("the hand-over failed at the greeting: {expected}"));
    }
    let state = r#"{"type":"state","document":1,"attachments":[{"name":"a","size":268435456}]}"#;
    let error = taken_error(&[joined(OLD_STEPS, 2), message(state)].concat()).await;
    assert!(error.ends_with("a state of 268435457 bytes is more than the 268435456 that are allowed"));
    let state = r#"{"type":"state","document":2,"attachments":[]}"#;
    for part in [&b""[..], b"xyz"] {
        let written = [joined(OLD_STEPS, 2), message(state), frame(b'B', part)].concat();
        let error = taken_error(&written).await;
        assert!(error.contains(&format!("a part of {} bytes where 2 were announced", part.len())), "{error}");
    }
}

#[tokio::test]
async fn descriptors_that_nobody_announced_are_refused_and_closed() {
    let (writers, _, mut readers) = pipes(2);
    let (own, other) = UnixStream::pair().unwrap();
    let mut old = Connection::new(own).unwrap();
    let descriptors: Vec<_> = writers.iter().map(AsFd::as_fd).collect();
    old.give_descriptors(&descriptors).await.unwrap();
    drop(writers);
    let mut new = Connection::new(other).unwrap();
    let error = new.take_descriptors(1).await.unwrap_err().to_string();
    assert_eq!(error, "2 descriptors came in place of 1");
    for reader in &mut readers {
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}

#[tokio::test]
async fn sockets_are_closed_when_not_all_of_them_arrive() {
    let (writers, entries, mut readers) = pipes(70);
    let (taker, old) = taker(Limits::default());
    let mut old = Connection::new(old).unwrap();
    let text = serde_json::to_string(&entries).unwrap();
    let giving = async {
        old.hear("`hello`").await.unwrap();
        for json in [OLD_STEPS[0].0, &format!(r#"{{"type":"sockets","entries":{text}}}"#)] {
            old.say(&serde_json::from_str(json).unwrap()).await.unwrap();
        }
        let descriptors: Vec<_> = writers[..64].iter().map(AsFd::as_fd).collect();
        old.give_descriptors(&descriptors).await.unwrap();
        drop(old);
    };
    let ((), taken) = tokio::join!(giving, take_all(taker));
    assert!(matches!(taken.unwrap_err().cause, Cause::ClosedBefore { awaited: "`sockets`" }));
    drop(writers);
    for reader in &mut readers {
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}

#[tokio::test]
async fn what_a_process_says_before_its_end_is_heard_by_one_that_writes() {
    let (mut giver, new) = giver(Limits::default());
    write(&new, &joined(NEW_STEPS, 2));
    giver.greet(&peer("1"), 3).await.unwrap();
    giver.give_sockets(&[]).await.unwrap();
    write(&new, &message(r#"{"type":"failed","stage":"state","message":"no room"}"#));
    drop(new);
    let error = giver.give_state(&State::default()).await.unwrap_err().to_string();
    assert_eq!(error, "the hand-over failed at the state: the new process could not go on (state): no room");
}

#[tokio::test]
async fn an_old_process_that_stays_says_why() {
    for step in 0..OLD_STEPS.len() {
        let stay = message(r#"{"type":"stay","reason":"SIGTERM came"}"#);
        let error = taken_error(&[joined(OLD_STEPS, step), stay].concat()).await;
        assert!(error.ends_with(": the old process stays: SIGTERM came"), "{error}");
    }
}

#[tokio::test]
async fn a_long_text_of_what_failed_is_cut() {
    let (taker, old) = taker(Limits::default());
    let text = "é\u{1}".repeat(200 << 10);
    let mut old = Connection::new(old).unwrap();
    let (told, heard) = tokio::join!(taker.fail("configuration", &text), old.hear("`hello`"));
    told.unwrap();
    let Err(Cause::Failed { stage, message }) = heard else { panic!("{heard:?}") };
    assert_eq!(stage, "configuration");
    assert!(message.len() > 200 << 10 && text.starts_with(&message));
}

#[tokio::test]
async fn an_end_that_was_told_is_known_from_one_that_was_not() {
    for (last, end) in [
        (Some(r#"{"type":"done"}"#), End::Regular),
        (Some(r#"{"type":"leaving"}"#), End::Died("the other process closed the connection".to_owned())),
        (None, End::Died("the other process closed the connection".to_owned())),
    ] {
        let (taker, old) = taker(Limits::default());
        write(&old, &joined(OLD_STEPS, 4));
        let (_, _, mut predecessor) = take_all(taker).await.unwrap();
        // It may be asked, given up and asked again in the middle of a message.
        let last = last.map(message).unwrap_or_default();
        write(&old, &last[..last.len() / 2]);
        let early = tokio::time::timeout(Duration::from_millis(5), predecessor.gone());
        assert!(early.await.is_err());
        write(&old, &last[last.len() / 2..]);
        drop(old);
        assert_eq!(predecessor.gone().await, end);
    }
}

#[test]
fn all_steps_can_be_taken_in_a_task_of_any_thread() {
    fn is_send<T: Send>(_: T) {}
    let state = State::default();
    let (giver, taker): (Option<Giver>, Option<Taker>) = (None, None);
    is_send(giver.map(|giver| give_all(giver, &[], &state)));
    is_send(taker.map(take_all));
}
