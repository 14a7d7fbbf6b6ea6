//! The rules that hold for whatever a client sends first, for the fuzz targets.

use tokio::io::{join, sink};
use tokio::runtime::{Builder, Runtime};

use super::first_words::FirstWords;
use super::hello::Hello;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap_or_else(|error| panic!("{error}"));
}

/// A ClientHello: read to its end or refused, whatever it is, and the name in it is one that can be looked up. Whoever
/// only looks at it loses nothing of it, and sees the same name.
pub fn client_hello(data: &[u8]) {
    let mut stream = join(data, sink());
    let read = RUNTIME.with(|runtime| runtime.block_on(Hello::read(&mut stream)));
    let name = read.ok().map(|hello| hello.server_name());
    if let Some(Some(name)) = &name {
        assert!(!name.is_empty() && !name.ends_with('.'));
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_control()));
    }
    let mut rest = data;
    let seen = RUNTIME.with(|runtime| runtime.block_on(FirstWords::read(&mut rest)));
    let FirstWords { bytes, hello } = seen.unwrap_or_else(|error| panic!("memory was read: {error}"));
    assert_eq!([&bytes, rest].concat(), data);
    // One that is too long is none to those who only look.
    if let Some(seen) = hello {
        assert_eq!(Some(seen.server_name), name);
    }
}
