//! Frames for tests.

use proptest::prelude::*;

/// A frame to be written.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Sample {
    pub(super) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }
}

pub(super) fn bytes_of(frames: &[Sample]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        let length = u32::try_from(frame.payload.len()).unwrap();
        bytes.extend(&length.to_be_bytes()[1..]);
        bytes.extend([frame.kind, frame.flags]);
        bytes.extend(frame.stream.to_be_bytes());
        bytes.extend(&frame.payload);
    }
    bytes
}

/// Any frames at all, most of them of kinds that mean something.
pub(super) fn frames() -> impl Strategy<Value = Vec<Sample>> {
    let kind = prop_oneof![9 => 0..=9_u8, 1 => any::<u8>()];
    let frame = (kind, any::<u8>(), 0..20_u32, prop::collection::vec(any::<u8>(), 0..40));
    let frame = frame.prop_map(|(kind, flags, stream, payload)| Sample { kind, flags, stream, payload });
    prop::collection::vec(frame, 0..60)
}
