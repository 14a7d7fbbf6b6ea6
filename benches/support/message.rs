//! As much of HTTP/1.1 as the benches have to read.

use crate::support::Outcome;

/// Where a message's body begins, once its header is complete.
pub(crate) fn body_start(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|position| position + 4)
}

/// The status of an answer.
pub(crate) fn status(head: &str) -> Outcome<u16> {
    let code = head.split_whitespace().nth(1).ok_or("an answer without a status")?;
    Ok(code.parse()?)
}

/// The Content-Length of an answer; the benches know no other framing.
pub(crate) fn length(head: &str) -> Outcome<usize> {
    let length =
        field(head, "content-length").ok_or_else(|| format!("an answer without Content-Length: {head}"))?;
    Ok(length.parse()?)
}

/// The first field of this name.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
