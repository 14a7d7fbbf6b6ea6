//! What the fuzz targets call: one function for each parser that reads what strangers send. Each panics when one of its
//! rules is broken. Only there with `--cfg fuzzing`.

use std::path::Path;

use crate::app::App;

pub use crate::edge::fuzzing::{body, head};
pub use crate::stores::redis::fuzzing::redis_reply;
pub use crate::tls::fuzzing::client_hello;
use crate::types::{ProxyHeader, Scan};

/// A PROXY header: every beginning of one that passes asks for more, its end is within what was given, and what follows it
/// does not matter.
pub fn proxy_header(data: &[u8]) {
    let Ok(Scan::Whole(header, length)) = ProxyHeader::scan(data) else { return };
    assert!(length <= data.len() && length <= ProxyHeader::LONGEST);
    assert_eq!(ProxyHeader::scan(&data[..length]), Ok(Scan::Whole(header, length)));
    for end in 0..length {
        assert_eq!(ProxyHeader::scan(&data[..end]), Ok(Scan::Partial), "{end} of {length}");
    }
}

/// A whole configuration: refused with words, or taken, but never a panic.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match App::builder().load_text("fuzz.yaml", Path::new("/nonexistent"), text) {
        Ok(app) => assert!(!app.summary().is_empty()),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

/// A token: it can be written in one way only, and no other reader of its claims reads anything else.
pub fn token(data: &[u8]) {
    crate::filters::token(data);
}
