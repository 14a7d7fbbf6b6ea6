//! The dashboard in a terminal: what `evener status` tells, anew each second, and endpoints to be drained and weighted.
//!
//! [`View`] is a state machine that knows neither a clock nor a terminal nor a process: keys and statuses come in, orders go
//! out. [`screen`] paints it, only as many rows as there are lines. [`terminal`] is the rest: it reads keys, asks the
//! process on a thread of its own, and leaves the terminal as it was, whatever ends it.

mod history;
mod keys;
mod rows;
mod screen;
mod terminal;
#[cfg(test)]
mod testing;
mod view;

pub(crate) use terminal::run;

use view::View;
