//! Where the heads of an answer end, which no filter holds up.

/// Tells the heads of an answer of HTTP/1 from its body. Pingora writes each head whole, and before all of the body.
#[derive(Debug, Default)]
pub(super) struct AnswerHead {
    /// So many bytes of the head that is written now are not taken yet.
    left: usize,
    is_final: bool,
}

impl AnswerHead {
    /// How many of the bytes that are written now are those of a head.
    pub(super) fn left(&mut self, bytes: &[u8]) -> usize {
        if self.left == 0 && !self.is_final && bytes.starts_with(b"HTTP/1.") {
            self.left = bytes.len();
            self.is_final = !is_interim(bytes);
        }
        self.left.min(bytes.len())
    }

    /// So many bytes were taken; whether they are those of a head.
    pub(super) fn take(&mut self, count: usize) -> bool {
        let is_head = self.left > 0;
        self.left = self.left.saturating_sub(count);
        is_head
    }
}

/// Whether another head follows (RFC 9110 §15.2); what follows a 101 has none.
fn is_interim(head: &[u8]) -> bool {
    let status = head.get(b"HTTP/1.1 ".len()..).unwrap_or_default();
    status.starts_with(b"1") && !status.starts_with(b"101")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_from_a_body_that_looks_like_one() {
        let mut head = AnswerHead::default();
        for text in [b"HTTP/1.1 103 Early Hints\r\n\r\n".as_slice(), b"HTTP/1.1 200 OK\r\n\r\n"] {
            assert_eq!(head.left(text), text.len());
            assert!(head.take(9));
            assert_eq!(head.left(&text[9..]), text.len() - 9);
            assert!(head.take(text.len() - 9));
        }
        assert_eq!(head.left(b"HTTP/1.1 200 OK\r\n\r\n"), 0);
        assert!(!head.take(19));
    }

    #[test]
    fn a_tunnel_begins_behind_its_head() {
        let mut head = AnswerHead::default();
        let text = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        assert_eq!(head.left(text), text.len());
        head.take(text.len());
        assert_eq!(head.left(text), 0);
    }
}
