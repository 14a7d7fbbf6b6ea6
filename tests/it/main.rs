//! Everything together: real sockets, real bytes, one process.

mod basics;
mod conf_examples;
mod config_errors;
mod fleet;
mod hooks;
mod layers;
mod process;
mod support;
mod wire;
