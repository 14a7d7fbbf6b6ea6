//! What goes on, told while it does: server-sent events with the sample of each second, what has changed of the status since
//! the second before, and what was noted. Nothing of it is worked out while nobody listens.

mod compact;
mod feed;
mod listener;

pub(super) use feed::Feed;
pub(super) use listener::{Connection, Listeners, TooMany, events};
