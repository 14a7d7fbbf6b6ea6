//! The `evener` command: the library's command line with the built-in hooks.

use std::process::ExitCode;

use evener::app::App;
use mimalloc::MiMalloc;

/// Buffers are allocated on one thread and freed on another all the time, which this allocator is made for;
/// with the system's a request costs a fifth more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    evener::cli::main(&App::builder())
}
