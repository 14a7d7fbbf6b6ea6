//! Headers that are too large, too many or too slow.

use crate::support::raw_h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, RST_STREAM, RawH2, frame, get,
    get_block, put_length,
};
use crate::wire::echo_site;

use super::H2;

/// RFC 7541 appendix A.
const STATUS_INDEX: u8 = 8;

/// The status of the next response, where it is not in the table of static fields as 200 is.
async fn status(client: &mut RawH2) -> String {
    let block = client.next_of(HEADERS).await.payload;
    if block[0] == 0x80 | STATUS_INDEX {
        return "200".to_owned();
    }
    // A literal with the name of the first status in the table, however it is to be indexed; then its value.
    let value = &block[1..];
    let length = usize::from(value[0] & 0x7f);
    assert_eq!(value[0] & 0x80, 0x80, "is in Huffman's code, as h2 sends it");
    huffman_digits(&value[1..=length])
}

/// Three digits in Huffman's code (RFC 7541 appendix B): the digits 0 to 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut rest = bits.as_str();
    let mut text = String::new();
    while text.len() < 3 {
        let short = u8::from_str_radix(&rest[..5], 2).unwrap();
        let (digit, length) = match short {
            0..=2 => (short, 5),
            _ => (u8::from_str_radix(&rest[..6], 2).unwrap() - 0b01_1001 + 3, 6),
        };
        text.push(char::from(b'0' + digit));
        rest = &rest[length..];
    }
    text
}

#[tokio::test]
async fn a_large_header_is_refused_and_the_connection_stays() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = RawH2::connect(&edge).await;
    let value = "x".repeat(12 * 1024);
    let block = get_block(&[("a", &value), ("b", &value), ("c", &value)]);
    let pieces: Vec<_> = block.chunks(16 * 1024).collect();
    let mut request = frame(HEADERS, END_STREAM, 1, pieces[0]);
    request.extend(frame(CONTINUATION, 0, 1, pieces[1]));
    request.extend(frame(CONTINUATION, END_HEADERS, 1, pieces[2]));
    client.send(request).await;
    assert_eq!(status(&mut client).await, "431");
    client.send(get(3)).await;
    assert_eq!(status(&mut client).await, "200");
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn cookie_crumbs_are_counted_one_by_one() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = RawH2::connect(&edge).await;
    let crumbs = |count| vec![("cookie", "a=1"); count];
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, get_block(&crumbs(101)))).await;
    assert_eq!(status(&mut client).await, "431");
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, get_block(&crumbs(90)))).await;
    assert_eq!(status(&mut client).await, "200");
    assert_eq!(endpoint.requests().len(), 1);
}

/// A field of 4 KB, put into the table once and then named a thousand times in one byte each.
#[tokio::test]
async fn a_bomb_of_compressed_headers_is_not_unpacked() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = RawH2::connect(&edge).await;
    let mut block = get_block(&[]);
    let value = "x".repeat(4000);
    // RFC 7541 §6.2.1: a literal that is put into the table; it is number 62 from then on.
    block.push(0x40);
    block.extend([1, b'a']);
    put_length(&mut block, 0x00, 7, value.len());
    block.extend(value.as_bytes());
    block.extend([0x80 | 62; 1000]);
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block)).await;
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    assert!(endpoint.requests().is_empty());
    assert_eq!(edge.log_of(1).await[0]["cause"], "http2_abuse");
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_off() {
    let starts = [
        frame(HEADERS, END_STREAM, 1, get_block(&[])),
        frame(HEADERS, END_STREAM | END_HEADERS, 1, get_block(&[]))[..20].to_vec(),
    ];
    for start in starts {
        let (endpoint, edge) = echo_site("limits: { header: { timeout: 200ms } }").await;
        let mut client = RawH2::connect(&edge).await;
        client.send(get(1)).await;
        assert_eq!(client.next_of(DATA).await.payload, b"/");
        let mut start = start;
        start[8] = 3;
        client.send(start).await;
        assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
        let lines = edge.log_of(2).await;
        assert_eq!((&lines[1]["cause"], &lines[1]["status"]), (&"header_timeout".into(), &408.into()));
        assert_eq!(endpoint.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_malformed_request_costs_its_stream_and_many_the_connection() {
    let (endpoint, edge) = echo_site("").await;
    let neighbour = H2::connect(&edge).await;
    let mut client = RawH2::connect(&edge).await;
    // Pseudo fields after others are malformed (RFC 9113 §8.3).
    let block = [get_block(&[("a", "b")]), vec![0x84]].concat();
    for stream in (1..).step_by(2).take(1000) {
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await;
    }
    assert_eq!(client.next_of(RST_STREAM).await.stream, 1);
    assert_eq!(client.goodbye().await, Some(ENHANCE_YOUR_CALM));
    assert_eq!(neighbour.get("/").await.status(), 200);
    assert_eq!(endpoint.requests().len(), 1);
}
