use proptest::prelude::*;

use super::super::frame::{Incoming, MOST_MESSAGE};
use super::*;

/// Bytes that are frames for the most part, so that not all of them end at the first.
fn written() -> impl Strategy<Value = Vec<u8>> {
    let json = prop_oneof![
        Just(r#"{"type":"sockets","entries":[{"kind":"channel","address":""}]}"#.to_owned()),
        Just(r#"{"type":"state","document":18446744073709551615,"attachments":[]}"#.to_owned()),
        Just(r#"{"type":"new"}"#.to_owned()),
        Just(r#"{"type":"hello","protocol":{"min":9,"max":1},"version":"","pid":0}"#.to_owned()),
        ".{0,40}",
        r#"\{"type":"[a-z]{2,7}","[a-z]{1,5}":[0-9\[\]]{1,4}\}"#,
    ];
    let part = prop_oneof![
        4 => json.prop_map(|json| message(&json)),
        2 => (prop_oneof![Just(b'B'), Just(b'D'), any::<u8>()], prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, body)| frame(kind, &body)),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_frame_takes_no_more_memory_than_twice_what_has_arrived(
        head in any::<[u8; 5]>(),
        body in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        let mut incoming = Incoming::default();
        let mut rest = &[&head[..], &body].concat()[..];
        let mut arrived = 0;
        while let Ok(wanted) = incoming.wanted() {
            prop_assert!(wanted <= MOST_MESSAGE + 5);
            if wanted == 0 {
                // Whether it is one or not, nothing of it stays.
                let _ = incoming.take();
                arrived = 0;
            }
            let (now, later) = rest.split_at(wanted.min(rest.len()).min(1000));
            if now.is_empty() && wanted > 0 {
                break;
            }
            incoming.add(now, Vec::new()).unwrap();
            (rest, arrived) = (later, arrived + now.len());
            prop_assert!(incoming.capacity() <= (2 * arrived).max(8));
        }
    }

    #[test]
    fn whatever_comes_is_an_error_or_a_message(written in written(), announced in 1..50usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // No frame is shorter than its head, and after the last one nothing comes.
        let most = written.len() / 5 + 1;
        let read = |way: u8| {
            let (own, other) = UnixStream::pair().unwrap();
            write(&other, &written);
            drop(other);
            runtime.block_on(async {
                let mut connection = Connection::new(own).unwrap();
                for _ in 0..=most {
                    let read = match way {
                        0 => connection.hear("anything").await.map(drop),
                        1 => connection.take_bytes(announced).await.map(|bytes| assert_eq!(bytes.len(), announced)),
                        _ => connection.take_descriptors(announced).await.map(drop),
                    };
                    if read.is_err() {
                        return true;
                    }
                }
                false
            })
        };
        for way in 0..3 {
            prop_assert!(read(way));
        }
    }
}
