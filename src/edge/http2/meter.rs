//! Counts what an HTTP/2 client sends beyond requests, and tells when it is too much.
//!
//! The figures are those of Sōzu 2 (`lib/src/protocol/mux/h2_flood_detector.rs`), with its window of a second and its
//! halving: a burst may be as large as the limit, and what goes on may be half of it in a second. A window of a second
//! forgives what comes in bursts, such as a hundred requests cancelled by a closed tab, and still ends a flood within
//! milliseconds. Glitches have five times Sōzu's figure, because PRIORITY frames, which older browsers send with each
//! request, are among them.
//!
//! Frames that answer something are no flood. Each one sent to the client leaves it a debt of answers, and only what
//! comes without one is counted.

use tokio::time::{Duration, Instant};

use super::frames::{Frame, FrameScan, kind};

/// What a client did too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abuse {
    /// RST_STREAM frames (CVE-2019-9514, CVE-2023-44487).
    Resets,
    /// RST_STREAM frames before the response had begun (CVE-2023-44487).
    EarlyResets,
    /// PING frames (CVE-2019-9512).
    Pings,
    /// SETTINGS frames (CVE-2019-9515).
    Settings,
    /// DATA frames with nothing in them (CVE-2019-9518).
    EmptyData,
    /// WINDOW_UPDATE frames for more than was sent.
    WindowUpdates,
    /// CONTINUATION frames of one header block (CVE-2024-27316).
    Continuations,
    /// Frames that mean nothing here, or next to nothing.
    Glitches,
    /// The time that a header block takes.
    SlowHeader,
    /// Requests that are malformed.
    Malformed,
    /// Whatever the h2 crate counts by itself: resets that the client provokes (CVE-2025-8671) or sends before their
    /// requests were looked at, small DATA frames, header lists of several times the limit.
    Library,
}

const WINDOW: Duration = Duration::from_secs(1);

const RESETS: u32 = 100;
const EARLY_RESETS: u32 = 50;
const PINGS: u32 = 100;
const SETTINGS: u32 = 50;
const EMPTY_DATA: u32 = 100;
const WINDOW_UPDATES: u32 = 100;
const CONTINUATIONS: u32 = 20;
const GLITCHES: u32 = 500;

/// After so many resets a connection is old. Not a breach: a client that cancels three requests a second, as one that
/// hedges does, comes to it within the hour.
const RESETS_OF_A_LIFE: u32 = 10_000;

/// A client that waits for a response for so long may give it up, as often as it likes: gRPC calls do at their deadline.
/// It keeps one of its streams busy meanwhile, so that it gets no more work out of the edge than by requests that it reads
/// to their end.
const PATIENCE: Duration = Duration::from_millis(50);

/// The smallest increment of a window that makes sense: gRPC's shortest message has five bytes.
const SMALLEST_INCREMENT: u32 = 5;
/// Go's client, the most eager of the common ones, opens the windows of stream and connection by 4 KiB at a time.
/// Others do so with every frame. This leaves room for four times as many as Go sends.
const BYTES_OF_AN_UPDATE: usize = 1024;
const UPDATES_OF_A_FRAME: u32 = 2;
/// What a gigabyte that is under way, read by a Go client, is answered with.
const MOST_UPDATES_DUE: u32 = 512 * 1024;
/// Each whole answer forgives one reset, whichever stream it is for; so many at most are kept.
const MOST_RESETS_DUE: u32 = 100;
/// gRPC clients measure the bandwidth with a PING for data that they get, one at a time.
const MOST_PINGS_DUE: u32 = 100;

/// How much of each counts as too much within a window.
#[derive(Debug)]
struct Limits {
    resets: u32,
    early_resets: u32,
    continuations: u32,
    streams: usize,
}

/// What came within the present window, and half of what came in the one before.
#[derive(Debug, Default)]
struct Counts {
    resets: u32,
    early_resets: u32,
    pings: u32,
    settings: u32,
    empty_data: u32,
    window_updates: u32,
    glitches: u32,
}

impl Counts {
    fn halve(&mut self, times: u32) {
        let Self { resets, early_resets, pings, settings, empty_data, window_updates, glitches } = self;
        for count in [resets, early_resets, pings, settings, empty_data, window_updates, glitches] {
            *count = count.checked_shr(times).unwrap_or(0);
        }
    }
}

/// Answers that the client owes, so that they are not counted when they come.
#[derive(Debug, Default)]
struct Due {
    window_updates: u32,
    pings: u32,
    ping_acks: u32,
    settings_acks: u32,
    /// Clients break a request off that they have the whole answer to, as those of gRPC do with every stream that its
    /// server ended first.
    resets: u32,
}

/// The header block that the client is in the middle of.
#[derive(Debug)]
struct Block {
    began: Instant,
    continuations: u32,
    /// Its last frame has begun.
    is_last: bool,
}

/// Watches both directions of a connection. It knows no clock.
#[derive(Debug)]
pub(super) struct Meter {
    inbound: FrameScan,
    outbound: FrameScan,
    counted: Counted,
}

#[derive(Debug)]
struct Counted {
    limits: Limits,
    window: Instant,
    counts: Counts,
    due: Due,
    resets_in_all: u32,
    last_stream: u32,
    /// Streams whose responses have not begun, and when they were opened.
    unanswered: Vec<(u32, Instant)>,
    block: Option<Block>,
}

impl Meter {
    /// For a client that may have so many `streams` open and send header lists of so many bytes.
    pub(super) fn new(preface: usize, streams: u32, header: usize, now: Instant) -> Self {
        const FRAME: usize = 16 * 1024;

        let frames = u32::try_from(header / FRAME).unwrap_or(u32::MAX);
        let limits = Limits {
            // All that is open may be cancelled in one go.
            resets: RESETS.saturating_add(streams),
            early_resets: EARLY_RESETS.saturating_add(streams),
            continuations: CONTINUATIONS.saturating_add(frames),
            streams: streams as usize,
        };
        let counted = Counted {
            limits,
            window: now,
            counts: Counts::default(),
            due: Due::default(),
            resets_in_all: 0,
            last_stream: 0,
            unanswered: Vec::new(),
            block: None,
        };
        Self { inbound: FrameScan::after(preface), outbound: FrameScan::after(0), counted }
    }

    /// Takes what the client has sent.
    ///
    /// # Errors
    /// When it is too much.
    pub(super) fn received(&mut self, bytes: &[u8], now: Instant) -> Result<(), Abuse> {
        let counted = &mut self.counted;
        counted.move_on(now);
        self.inbound.advance(bytes, |frame| counted.received(&frame, now))?;
        if self.inbound.is_between_frames() {
            counted.end_block();
        }
        Ok(())
    }

    /// Takes what is sent to the client.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let counted = &mut self.counted;
        let Ok(()) = self.outbound.advance(bytes, |frame| {
            counted.sent(&frame);
            Ok::<_, std::convert::Infallible>(())
        });
    }

    /// When the header block began that the client is in the middle of.
    pub(super) fn block_began(&self) -> Option<Instant> {
        self.counted.block.as_ref().map(|block| block.began)
    }

    /// Whether so many streams were reset that the connection had better be replaced.
    pub(super) fn is_worn(&self) -> bool {
        self.counted.resets_in_all >= RESETS_OF_A_LIFE
    }
}

impl Counted {
    fn move_on(&mut self, now: Instant) {
        let windows = now.saturating_duration_since(self.window).as_secs() / WINDOW.as_secs();
        if windows > 0 {
            self.counts.halve(u32::try_from(windows).unwrap_or(u32::MAX));
            self.window = now;
        }
    }

    fn received(&mut self, frame: &Frame, now: Instant) -> Result<(), Abuse> {
        self.end_block();
        match frame.kind {
            kind::DATA if frame.is_idle_talk() => {
                count(&mut self.counts.empty_data, EMPTY_DATA, Abuse::EmptyData)
            }
            kind::DATA => Ok(()),
            kind::HEADERS => {
                self.begin_block(frame, now);
                Ok(())
            }
            kind::CONTINUATION => self.go_on_with_block(frame),
            kind::RST_STREAM => self.reset(frame.stream, now),
            kind::SETTINGS if frame.is_ack() => self.unless_due(|due| &mut due.settings_acks, Self::glitch),
            kind::SETTINGS => count(&mut self.counts.settings, SETTINGS, Abuse::Settings),
            kind::PING if frame.is_ack() => self.unless_due(|due| &mut due.ping_acks, Self::ping),
            kind::PING => self.unless_due(|due| &mut due.pings, Self::ping),
            kind::WINDOW_UPDATE => {
                if frame.increment() < SMALLEST_INCREMENT {
                    self.glitch()?;
                }
                self.unless_due(
                    |due| &mut due.window_updates,
                    |counted| count(&mut counted.counts.window_updates, WINDOW_UPDATES, Abuse::WindowUpdates),
                )
            }
            _ => self.glitch(),
        }
    }

    fn sent(&mut self, frame: &Frame) {
        match frame.kind {
            kind::DATA => {
                self.owe_reset(frame);
                let updates = u32::try_from(frame.length / BYTES_OF_AN_UPDATE).unwrap_or(u32::MAX);
                self.owe_updates(updates.saturating_add(UPDATES_OF_A_FRAME));
                self.owe_ping();
            }
            kind::HEADERS => {
                self.answered(frame.stream);
                self.owe_reset(frame);
                self.owe_ping();
            }
            kind::RST_STREAM => {
                self.answered(frame.stream);
            }
            kind::SETTINGS if !frame.is_ack() => self.due.settings_acks += 1,
            kind::PING if !frame.is_ack() => self.due.ping_acks += 1,
            _ => {}
        }
    }

    /// Ends the header block whose last frame has come.
    fn end_block(&mut self) {
        self.block.take_if(|block| block.is_last);
    }

    fn begin_block(&mut self, frame: &Frame, now: Instant) {
        self.block = Some(Block { began: now, continuations: 0, is_last: frame.ends_headers() });
        if frame.stream <= self.last_stream {
            return;
        }
        self.last_stream = frame.stream;
        // curl and others set the window of each stream that they open.
        self.owe_updates(UPDATES_OF_A_FRAME);
        // Those beyond what may be open are refused, with a frame that comes by here.
        if self.unanswered.len() < 2 * self.limits.streams {
            self.unanswered.push((frame.stream, now));
        }
    }

    fn go_on_with_block(&mut self, frame: &Frame) -> Result<(), Abuse> {
        let Some(block) = &mut self.block else { return self.glitch() };
        block.is_last = frame.ends_headers();
        count(&mut block.continuations, self.limits.continuations, Abuse::Continuations)
    }

    fn reset(&mut self, stream: u32, now: Instant) -> Result<(), Abuse> {
        self.resets_in_all += 1;
        match self.answered(stream) {
            Some(opened) if now.saturating_duration_since(opened) >= PATIENCE => Ok(()),
            Some(_) => {
                count(&mut self.counts.early_resets, self.limits.early_resets, Abuse::EarlyResets)?;
                self.counted_reset()
            }
            None => self.unless_due(|due| &mut due.resets, Self::counted_reset),
        }
    }

    fn counted_reset(&mut self) -> Result<(), Abuse> {
        count(&mut self.counts.resets, self.limits.resets, Abuse::Resets)
    }

    /// Notes that a stream waits for its response no longer, and tells when it was opened if it did.
    fn answered(&mut self, stream: u32) -> Option<Instant> {
        let found = self.unanswered.iter().position(|&(waiting, _)| waiting == stream);
        found.map(|at| self.unanswered.swap_remove(at).1)
    }

    fn ping(&mut self) -> Result<(), Abuse> {
        count(&mut self.counts.pings, PINGS, Abuse::Pings)
    }

    fn glitch(&mut self) -> Result<(), Abuse> {
        count(&mut self.counts.glitches, GLITCHES, Abuse::Glitches)
    }

    fn owe_updates(&mut self, updates: u32) {
        self.due.window_updates = self.due.window_updates.saturating_add(updates).min(MOST_UPDATES_DUE);
    }

    fn owe_reset(&mut self, frame: &Frame) {
        if frame.ends_stream() {
            self.due.resets = (self.due.resets + 1).min(MOST_RESETS_DUE);
        }
    }

    fn owe_ping(&mut self) {
        self.due.pings = (self.due.pings + 1).min(MOST_PINGS_DUE);
    }

    /// Takes a frame for an answer that is due, or else counts it.
    fn unless_due(
        &mut self,
        due: impl FnOnce(&mut Due) -> &mut u32,
        count: impl FnOnce(&mut Self) -> Result<(), Abuse>,
    ) -> Result<(), Abuse> {
        let due = due(&mut self.due);
        if *due == 0 {
            return count(self);
        }
        *due -= 1;
        Ok(())
    }
}

fn count(count: &mut u32, most: u32, abuse: Abuse) -> Result<(), Abuse> {
    *count += 1;
    if *count > most { Err(abuse) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
