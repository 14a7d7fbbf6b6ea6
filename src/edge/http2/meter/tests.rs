use proptest::prelude::*;

use super::super::samples::{Sample, bytes_of, frames};
use super::*;

const STREAMS: u32 = 10;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const PRIORITY: u8 = 0x2;

struct Client {
    meter: Meter,
    now: Instant,
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        Self { meter: Meter::new(0, STREAMS, 32 * 1024, now), now }
    }

    fn sends(&mut self, frame: Sample) -> Result<(), Abuse> {
        self.meter.received(&bytes_of(&[frame]), self.now)
    }

    fn gets(&mut self, frame: Sample) {
        self.meter.sent(&bytes_of(&[frame]));
    }

    fn waits(&mut self, time: Duration) {
        self.now += time;
    }

    /// How many of these are borne, and what is said of the one that is not.
    fn bears(&mut self, frame: impl Fn(u32) -> Sample) -> (u32, Abuse) {
        for number in 0.. {
            if let Err(abuse) = self.sends(frame(number)) {
                return (number, abuse);
            }
        }
        unreachable!()
    }
}

fn ping(_: u32) -> Sample {
    Sample::new(kind::PING, 0, 0, [0; 8])
}

fn update(increment: u32) -> Sample {
    Sample::new(kind::WINDOW_UPDATE, 0, 0, increment.to_be_bytes())
}

fn headers(stream: u32) -> Sample {
    Sample::new(kind::HEADERS, END_HEADERS, stream, [0x82])
}

fn reset(stream: u32) -> Sample {
    Sample::new(kind::RST_STREAM, 0, stream, [0, 0, 0, 8])
}

fn data(length: usize) -> Sample {
    Sample::new(kind::DATA, 0, 1, vec![0; length])
}

#[test]
fn everything_has_its_limit() {
    assert_eq!(Client::new().bears(ping), (100, Abuse::Pings));
    assert_eq!(Client::new().bears(|_| Sample::new(kind::PING, ACK, 0, [0; 8])), (100, Abuse::Pings));
    assert_eq!(Client::new().bears(|_| Sample::new(kind::SETTINGS, 0, 0, [])), (50, Abuse::Settings));
    assert_eq!(Client::new().bears(|_| Sample::new(kind::SETTINGS, ACK, 0, [])), (500, Abuse::Glitches));
    assert_eq!(Client::new().bears(|_| data(0)), (100, Abuse::EmptyData));
    assert_eq!(Client::new().bears(|_| update(1000)), (100, Abuse::WindowUpdates));
    for kind in [PRIORITY, GOAWAY, kind::CONTINUATION, 0xff] {
        assert_eq!(Client::new().bears(|_| Sample::new(kind, 0, 0, [])), (500, Abuse::Glitches));
    }
}

#[test]
fn the_frames_of_one_header_are_limited_and_not_those_of_many() {
    let mut client = Client::new();
    for stream in (1..1000).step_by(2) {
        client.sends(Sample::new(kind::HEADERS, 0, stream, [])).unwrap();
        for _ in 0..19 {
            client.sends(Sample::new(kind::CONTINUATION, 0, stream, [])).unwrap();
        }
        client.sends(Sample::new(kind::CONTINUATION, END_HEADERS, stream, [])).unwrap();
        assert_eq!(client.meter.block_began(), None);
    }
    client.sends(Sample::new(kind::HEADERS, 0, 1001, [])).unwrap();
    // Twenty, and as many as the header's size fills.
    let crumb = |_| Sample::new(kind::CONTINUATION, 0, 1001, []);
    assert_eq!(client.bears(crumb), (22, Abuse::Continuations));
}

#[test]
fn a_block_is_under_way_until_its_last_byte() {
    let mut client = Client::new();
    assert_eq!(client.meter.block_began(), None);
    let bytes = bytes_of(&[Sample::new(kind::HEADERS, END_HEADERS, 1, [0; 100])]);
    client.meter.received(&bytes[..50], client.now).unwrap();
    let began = client.now;
    client.waits(Duration::from_secs(3));
    client.meter.received(&bytes[50..108], client.now).unwrap();
    assert_eq!(client.meter.block_began(), Some(began));
    client.meter.received(&bytes[108..], client.now).unwrap();
    assert_eq!(client.meter.block_began(), None);
}

#[test]
fn half_of_a_burst_may_go_on() {
    let mut client = Client::new();
    for _ in 0..100 {
        client.sends(ping(0)).unwrap();
    }
    for _ in 0..10 {
        client.waits(WINDOW);
        for _ in 0..50 {
            client.sends(ping(0)).unwrap();
        }
    }
    client.waits(WINDOW * 60);
    assert_eq!(client.bears(ping), (100, Abuse::Pings));
    let mut client = Client::new();
    for _ in 0..100 {
        client.sends(ping(0)).unwrap();
    }
    client.waits(WINDOW);
    assert_eq!(client.bears(ping), (50, Abuse::Pings));
}

#[test]
fn data_that_was_sent_earns_updates_and_pings() {
    let mut client = Client::new();
    for _ in 0..1000 {
        client.gets(data(16 * 1024));
        client.sends(ping(0)).unwrap();
        for _ in 0..4 {
            client.sends(update(4096)).unwrap();
            client.sends(update(4096)).unwrap();
        }
    }
    for _ in 0..1000 {
        client.gets(data(6));
        client.sends(update(6)).unwrap();
        client.sends(update(6)).unwrap();
    }
    // Ten of 18 for each large frame were left.
    assert_eq!(client.bears(|_| update(4096)), (10_000 + 100, Abuse::WindowUpdates));
    // What was earned and not used is kept, but not without end.
    assert_eq!(client.bears(ping), (100 + 100, Abuse::Pings));
}

#[test]
fn windows_that_open_byte_by_byte_are_glitches_even_when_earned() {
    let mut client = Client::new();
    for _ in 0..500 {
        client.gets(data(1));
        client.sends(update(1)).unwrap();
    }
    client.gets(data(1));
    assert_eq!(client.sends(update(1)), Err(Abuse::Glitches));
}

#[test]
fn answers_that_were_asked_for_are_not_counted() {
    let mut client = Client::new();
    for _ in 0..1000 {
        client.gets(ping(0));
        client.gets(Sample::new(kind::SETTINGS, 0, 0, []));
        client.sends(Sample::new(kind::PING, ACK, 0, [0; 8])).unwrap();
        client.sends(Sample::new(kind::SETTINGS, ACK, 0, [])).unwrap();
    }
}

#[test]
fn resets_count_by_whether_the_response_had_begun() {
    let mut client = Client::new();
    let mut number = 0;
    let mut next = |is_answered| {
        number += 2;
        client.sends(headers(number - 1)).unwrap();
        if is_answered {
            client.gets(headers(number - 1));
        }
        client.sends(reset(number - 1))
    };
    for _ in 0..60 {
        next(false).unwrap();
    }
    for _ in 0..50 {
        next(true).unwrap();
    }
    assert_eq!(next(true), Err(Abuse::Resets));
    let mut client = Client::new();
    let streams = (0..).map(|number| 2 * number + 1);
    let refused = streams.map(|stream| {
        client.sends(headers(stream)).unwrap();
        client.sends(reset(stream))
    });
    let borne = refused.take_while(Result::is_ok).count();
    assert_eq!(borne, 60);
}

#[test]
fn resets_after_whole_answers_are_no_flood() {
    const END_STREAM: u8 = 0x1;
    let mut client = Client::new();
    for stream in (1..2000).step_by(2) {
        client.sends(headers(stream)).unwrap();
        client.gets(headers(stream));
        client.gets(Sample::new(kind::DATA, END_STREAM, stream, []));
        client.sends(reset(stream)).unwrap();
    }
}

#[test]
fn a_stream_that_the_edge_reset_no_longer_waits() {
    let mut client = Client::new();
    for stream in (1..1000).step_by(2) {
        client.sends(headers(stream)).unwrap();
        client.gets(reset(stream));
    }
    assert!(client.meter.counted.unanswered.is_empty());
    // And without any answer what is kept is bounded.
    for stream in (1001..2000).step_by(2) {
        client.sends(headers(stream)).unwrap();
    }
    assert_eq!(client.meter.counted.unanswered.len(), 20);
}

#[test]
fn a_life_has_so_many_resets() {
    let mut client = Client::new();
    for _ in 0..9_999 {
        client.sends(reset(1)).unwrap();
        client.waits(WINDOW);
    }
    assert!(!client.meter.is_worn());
    client.sends(reset(1)).unwrap();
    assert!(client.meter.is_worn());
}

proptest! {
    /// However the bytes are split, the verdict is the same, and so is the frame it comes with.
    #[test]
    fn splitting_changes_no_verdict(
        written in frames(),
        times in 1..40_usize,
        size in 1..100_usize,
    ) {
        let now = Instant::now();
        let bytes = bytes_of(&written).repeat(times);
        let mut whole = Meter::new(0, STREAMS, 1024, now);
        let mut split = Meter::new(0, STREAMS, 1024, now);
        let at_once = whole.received(&bytes, now);
        let piecewise = bytes.chunks(size).try_for_each(|piece| split.received(piece, now));
        prop_assert_eq!(at_once, piecewise);
        let (whole, split) = (whole.counted, split.counted);
        prop_assert_eq!(whole.resets_in_all, split.resets_in_all);
        prop_assert_eq!(format!("{:?}", whole.counts), format!("{:?}", split.counts));
        prop_assert_eq!(whole.unanswered, split.unanswered);
    }
}
