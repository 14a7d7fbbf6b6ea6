//! Listeners that come, change and go, with real sockets and the gateway behind them.

mod changes;
mod ends;
mod handover;
mod support;
mod takeover;
mod traffic;
