//! What HTTP means by a few fields, as RFC 9110 has it, and nothing else: which representation a client would rather have,
//! on what condition it wants it, which parts of it, and of what kind a message is.
//!
//! Everything here is pure: it knows headers and lengths, and neither files nor endpoints nor caches.

mod accept;
mod conditional;
mod media;
mod range;

pub(crate) use accept::{codings_by_preference, media_weight, takes_coding};
pub(crate) use conditional::{Precondition, Validators, entity_tags, made_at};
pub(crate) use media::{is_event_stream, is_grpc};
pub(crate) use range::{Boundary, Ranges, content_range};
