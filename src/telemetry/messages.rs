use std::io::Write;
use std::time::SystemTime;

use env_logger::{Builder, Env};
use log::LevelFilter;

use crate::config::spec::LogLevel;

/// Sends messages to stderr, one a line: time, level, target, text. `RUST_LOG` goes before `level`.
///
/// Pingora logs an error for every request that fails, which a client can cause at will and which the access
/// log tells better; so its own messages are written only from `warn` up, those of its proxy not at all, unless
/// `RUST_LOG` asks for them. Has no effect when the program has set up a logger of its own.
pub(crate) fn init_messages(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    };
    let mut builder = Builder::new();
    builder.filter_level(level);
    if level < LevelFilter::Debug {
        builder.filter_module("pingora_proxy", LevelFilter::Off);
        builder.filter_module("pingora_core", level.min(LevelFilter::Warn));
    }
    builder.parse_env(Env::default());
    builder.format(|out, record| {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        writeln!(out, "{time} {:5} {} {}", record.level(), record.target(), record.args())
    });
    // A logger that the embedding program installed first stays.
    let _ = builder.try_init();
}
