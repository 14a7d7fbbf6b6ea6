use pingora_http::ResponseHeader;

/// Adds the status line and the fields of a head, as HTTP/1.1 has them, without the line that ends it.
pub(crate) fn put_head(head: &ResponseHeader, lines: &mut Vec<u8>) {
    lines.extend_from_slice(b"HTTP/1.1 ");
    lines.extend_from_slice(head.status.as_str().as_bytes());
    lines.push(b' ');
    lines.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    lines.extend_from_slice(b"\r\n");
    head.header_to_h1_wire(lines);
}
