//! The rules that hold for whatever a client sends first, for the fuzz targets.

use tokio::io::{join, sink};
use tokio::runtime::{Builder, Runtime};

use super::hello::Hello;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap_or_else(|error| panic!("{error}"));
}

/// A ClientHello: read to its end or refused, whatever it is, and the name in it is one that can be looked up.
pub fn client_hello(data: &[u8]) {
    let mut stream = join(data, sink());
    let read = RUNTIME.with(|runtime| runtime.block_on(Hello::read(&mut stream)));
    let Ok(hello) = read else { return };
    if let Some(name) = hello.server_name() {
        assert!(!name.is_empty() && !name.ends_with('.'));
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_control()));
    }
}
