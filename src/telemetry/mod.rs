//! What Evener tells of itself: messages for operators, and a line for every request.

mod access_log;
mod messages;
mod settle;

pub(crate) use access_log::{AccessLine, AccessLog, Millis, Timings};
pub(crate) use messages::Messages;
