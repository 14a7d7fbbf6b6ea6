//! The strict look at an HTTP/1 request's header, before anything acts on it (RFC 9112 §2–§6).
//!
//! Pingora parses the header again and leniently; whatever two parsers could understand differently is refused
//! here, so that its leniency never matters.

use std::ops::Range;

use http::header;
use memchr::memchr;

use crate::runtime::Cause;
use crate::types::RequestHost;

use super::body::Framing;

/// What the header may be at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Bytes of the whole header.
    pub(super) size: usize,
    /// Bytes of the request line.
    pub(super) line: usize,
    /// Fields.
    pub(super) count: usize,
}

/// Follows a header that arrives in pieces, checks each line once it is there, and refuses the header as soon as
/// it is wrong or too large.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    line_start: usize,
    /// Up to here there is no further line end.
    seen: usize,
    lines: usize,
    request: Option<RequestLine>,
    fields: Fields,
}

/// A whole header that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its length with the empty line.
    pub(super) length: usize,
    /// How its body is framed.
    pub(super) framing: Framing,
}

impl HeadScan {
    /// Looks at all that was read so far; `None` means that more is needed.
    pub(super) fn advance(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Cause> {
        while let Some(offset) = memchr(b'\n', &bytes[self.seen..]) {
            let line = self.line_start..self.seen + offset;
            self.seen = line.end + 1;
            self.line_start = self.seen;
            // A line end is CRLF and nothing else: a bare LF is where parsers part (RFC 9112 §2.2).
            let text = bytes[line.clone()].strip_suffix(b"\r").ok_or(Cause::BadRequest)?;
            if text.is_empty() {
                check_size(self.seen, self.lines, limits)?;
                return self.finish(bytes).map(Some);
            }
            self.lines += 1;
            check_line(self.lines, text.len(), limits)?;
            self.take(bytes, line.start..line.start + text.len())?;
        }
        self.seen = bytes.len();
        check_line(self.lines + 1, bytes.len() - self.line_start, limits)?;
        check_size(bytes.len(), self.lines, limits)?;
        Ok(None)
    }

    /// Takes in a line without its end.
    fn take(&mut self, bytes: &[u8], line: Range<usize>) -> Result<(), Cause> {
        if self.request.is_some() {
            return self.fields.check(bytes, line);
        }
        self.request = Some(RequestLine::parse(&bytes[line.clone()], line.start)?);
        Ok(())
    }

    fn finish(&self, bytes: &[u8]) -> Result<Head, Cause> {
        let request = self.request.as_ref().ok_or(Cause::BadRequest)?;
        let target = &bytes[request.target.clone()];
        if !target.starts_with(b"/") && !request.is_connect {
            check_other_form(target, self.fields.host.clone().map(|host| &bytes[host]))?;
        }
        Ok(Head { length: self.seen, framing: self.fields.framing(request.version)? })
    }
}

fn check_line(number: usize, length: usize, limits: &HeadLimits) -> Result<(), Cause> {
    if number == 1 && length > limits.line {
        return Err(Cause::TargetTooLong);
    }
    if number > limits.count + 1 && length > 0 { Err(Cause::HeaderTooLarge) } else { Ok(()) }
}

fn check_size(size: usize, lines: usize, limits: &HeadLimits) -> Result<(), Cause> {
    if size <= limits.size {
        return Ok(());
    }
    Err(if lines == 0 { Cause::TargetTooLong } else { Cause::HeaderTooLarge })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// `METHOD SP TARGET SP HTTP/1.x`, with single spaces.
#[derive(Debug)]
struct RequestLine {
    /// Where the target stands in the header.
    target: Range<usize>,
    version: Version,
    is_connect: bool,
}

impl RequestLine {
    /// Reads a line that begins at `start` of the header.
    fn parse(line: &[u8], start: usize) -> Result<Self, Cause> {
        let method_end = memchr(b' ', line).ok_or(Cause::BadRequest)?;
        let target_start = method_end + 1;
        let target_end = target_start + memchr(b' ', &line[target_start..]).ok_or(Cause::BadRequest)?;
        let (method, target) = (&line[..method_end], &line[target_start..target_end]);
        if method.is_empty() || !all(method, TOKEN) || target.is_empty() || !all(target, TARGET) {
            return Err(Cause::BadRequest);
        }
        // Bytes that are no text would make Pingora answer by itself.
        std::str::from_utf8(target).map_err(|_| Cause::BadRequest)?;
        Ok(Self {
            target: start + target_start..start + target_end,
            version: Version::parse(&line[target_end + 1..])?,
            is_connect: method == b"CONNECT",
        })
    }
}

impl Version {
    fn parse(text: &[u8]) -> Result<Self, Cause> {
        match text {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Err(Cause::VersionRefused)
            }
            _ => Err(Cause::BadRequest),
        }
    }
}

/// A target that is no path: `*`, or a URL of the host that `Host` names (RFC 9112 §3.2.2). Pingora compares the
/// two byte by byte.
fn check_other_form(target: &[u8], host: Option<&[u8]>) -> Result<(), Cause> {
    if target == b"*" {
        return Ok(());
    }
    let authority = after_scheme(target).ok_or(Cause::BadRequest)?;
    let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(authority.len());
    let authority = &authority[..end];
    let is_host = RequestHost::parse(authority).is_some() && host.is_none_or(|host| host == authority);
    if is_host { Ok(()) } else { Err(Cause::BadRequest) }
}

fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    let has_scheme =
        |scheme: &&[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(has_scheme)?;
    Some(&target[scheme.len()..])
}

/// What the fields say of the message's framing and destination.
#[derive(Debug, Default)]
struct Fields {
    /// Where the value of `Host` stands in the header.
    host: Option<Range<usize>>,
    length: Option<u64>,
    chunked: bool,
}

impl Fields {
    /// Takes in the line that stands at `line` of the header.
    fn check(&mut self, bytes: &[u8], line: Range<usize>) -> Result<(), Cause> {
        let text = &bytes[line.clone()];
        // What ends the name must be its colon; this also refuses a blank before it, and a line that continues the
        // one before it.
        let colon =
            text.iter().position(|&byte| CLASSES[usize::from(byte)] & TOKEN == 0).unwrap_or(text.len());
        let (name, value) = text.split_at(colon);
        if name.is_empty() || value.first() != Some(&b':') || !is_text(value) {
            return Err(Cause::BadRequest);
        }
        let value = value[1..].trim_ascii();
        let value_at = line.end - text[colon + 1..].trim_ascii_start().len();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value, value_at),
            14 if name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str().as_bytes()) => self.length(value),
            17 if name.eq_ignore_ascii_case(header::TRANSFER_ENCODING.as_str().as_bytes()) => {
                self.coding(value)
            }
            _ => Ok(()),
        }
    }

    /// One field; what it names is for the gateway to say, but for user information, which Pingora refuses.
    fn host(&mut self, value: &[u8], at: usize) -> Result<(), Cause> {
        if value.is_empty() || memchr(b'@', value).is_some() || self.host.is_some() {
            return Err(Cause::BadRequest);
        }
        self.host = Some(at..at + value.len());
        Ok(())
    }

    /// One field with one plain number; even equal repetitions are refused (RFC 9112 §6.3 allows it).
    fn length(&mut self, value: &[u8]) -> Result<(), Cause> {
        let is_plain = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
        if self.length.is_some() || !is_plain {
            return Err(Cause::BadRequest);
        }
        let digits = value.iter().fold(0, |number, &digit| number * 10 + u64::from(digit - b'0'));
        self.length = Some(digits);
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), Cause> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Cause::BadRequest);
        }
        self.chunked = true;
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Cause> {
        if version == Version::Http11 && self.host.is_none() {
            return Err(Cause::BadRequest);
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Cause::BadRequest),
            (None, true) if version == Version::Http10 => Err(Cause::BadRequest),
            (None, true) => Ok(Framing::Chunked),
            (None | Some(0), false) => Ok(Framing::None),
            (Some(length), false) => Ok(Framing::Length(length)),
        }
    }
}

/// A byte of a token (RFC 9110 §5.6.2).
const TOKEN: u8 = 1;
/// A byte of a target: visible, and nothing that Pingora refuses or, like a fragment, silently drops; none of that
/// is legal (RFC 9112 §3.2).
const TARGET: u8 = 2;

/// What each byte may be. A look into a table is a third of the cost of comparing, and every byte of every header
/// is looked at.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let visible = byte > 0x20 && byte != 0x7f;
        let target = visible && !matches!(byte as u8, b'"' | b'#' | b'<' | b'>' | b'`');
        classes[byte] = if target { TARGET } else { 0 };
        byte += 1;
    }
    let tokens = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut index = 0;
    while index < tokens.len() {
        classes[tokens[index] as usize] |= TOKEN;
        index += 1;
    }
    classes
};

/// Whether a field's value holds no control but the tab.
fn is_text(value: &[u8]) -> bool {
    let is_text = |&byte: &u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
    let (words, rest) = value.as_chunks::<8>();
    // Values are long and nearly always plain: eight bytes at a time, and one by one only where a tab may be.
    words.iter().all(|word| is_plain(u64::from_ne_bytes(*word)) || word.iter().all(is_text))
        && rest.iter().all(is_text)
}

/// Whether none of eight bytes is below the blank or is DEL (Mycroft's test for a zero byte, after a shift of what
/// is looked for to zero). It may say no where the answer is yes, never the other way round.
fn is_plain(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES * 0x80;

    let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
    let off_del = word ^ (ONES * 0x7f);
    let is_del = off_del.wrapping_sub(ONES) & !off_del;
    (below_blank | is_del) & HIGHS == 0
}

fn all(bytes: &[u8], class: u8) -> bool {
    // Without an early end, so that the bytes can be looked up several at a time.
    bytes.iter().fold(class, |common, &byte| common & CLASSES[usize::from(byte)]) == class
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits { size: 1024, line: 256, count: 10 };

    fn scan(head: &[u8]) -> Result<Option<Head>, Cause> {
        HeadScan::default().advance(head, &LIMITS)
    }

    fn framing(rest: &str) -> Result<Framing, Cause> {
        scan(format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}\r\n").as_bytes()).map(|head| head.unwrap().framing)
    }

    #[test]
    fn reads_the_framing_of_sound_headers() {
        assert_eq!(framing(""), Ok(Framing::None));
        assert_eq!(framing("Content-Length: 0\r\n"), Ok(Framing::None));
        assert_eq!(framing("content-length:  12 \r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    }

    #[test]
    fn the_length_is_that_of_the_header_alone() {
        let head = scan(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next").unwrap().unwrap();
        assert_eq!(head.length, 27);
    }

    #[test]
    fn refuses_every_known_way_to_smuggle() {
        let tricks = [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "X: a\r\n folded: b\r\n",
            "X: a\n",
            "X: a\rY: b\r\n",
            "X: a\0b\r\n",
            ": no name\r\n",
            "no colon\r\n",
            "Host: b\r\n",
        ];
        for trick in tricks {
            assert_eq!(framing(trick), Err(Cause::BadRequest), "{trick:?}");
        }
    }

    #[test]
    fn the_request_line_is_exact() {
        let refused = [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET /",
            "G\tT / HTTP/1.1",
            "GET /\x01 HTTP/1.1",
            "GET / HTTP/1.1x",
            "GET / http/1.1",
            "GET /a#b HTTP/1.1",
            "GET /a?<b> HTTP/1.1",
            "GET a HTTP/1.1",
            "GET http://b/ HTTP/1.1",
            "GET http://u@a/ HTTP/1.1",
            "GET http:/a/ HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
        ];
        for line in refused {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(scan(head.as_bytes()), Err(Cause::BadRequest), "{line:?}");
        }
        assert_eq!(scan(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"), Err(Cause::VersionRefused));
        for line in ["GET http://a/b HTTP/1.1", "GET HTTPS://a?b HTTP/1.1", "OPTIONS * HTTP/1.1"] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            assert!(scan(head.as_bytes()).unwrap().is_some(), "{line:?}");
        }
    }

    #[test]
    fn a_host_is_needed_from_1_1_on() {
        assert_eq!(scan(b"GET / HTTP/1.1\r\n\r\n"), Err(Cause::BadRequest));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost:\r\n\r\n"), Err(Cause::BadRequest));
        assert!(scan(b"GET / HTTP/1.0\r\n\r\n").unwrap().is_some());
        assert_eq!(scan(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Cause::BadRequest));
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_ends() {
        let long_target = format!("GET /{}", "a".repeat(300));
        assert_eq!(scan(long_target.as_bytes()), Err(Cause::TargetTooLong));
        let long_field = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(1100));
        assert_eq!(scan(long_field.as_bytes()), Err(Cause::HeaderTooLarge));
        let ten = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(9));
        assert!(scan(ten.as_bytes()).unwrap().is_some());
        let eleven = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10));
        assert_eq!(scan(eleven.as_bytes()), Err(Cause::HeaderTooLarge));
    }

    #[test]
    fn every_byte_of_a_value_is_judged_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                let mut value = [b'a'; 20];
                value[place] = byte;
                let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
                assert_eq!(super::is_text(&value), is_text, "{byte} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(cut in 1usize..20) {
            let text = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
            let mut scan = HeadScan::default();
            let mut found = None;
            for end in (0..=text.len()).step_by(cut).chain([text.len()]) {
                found = scan.advance(&text[..end], &LIMITS).unwrap();
                if found.is_some() {
                    break;
                }
            }
            prop_assert_eq!(found, Some(Head { length: text.len() - 5, framing: Framing::Length(5) }));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = scan(&bytes);
        }
    }
}
