//! Texts that clients send, as lines hold them: nothing in them ends a value or a line, or reaches a terminal that shows them.

/// Bytes of a text that are looked at before they go into a JSON string: those that may not stand there, and the first ones of
/// controls beyond ASCII, which some terminals obey.
const IN_JSON: [bool; 256] = {
    let mut looked_at = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        looked_at[byte] = byte < 0x20 || matches!(byte, 0x22 | 0x5c | 0x7f | 0xc2);
        byte += 1;
    }
    looked_at
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes what stands between the quotes of a JSON string. What is no UTF-8 becomes U+FFFD.
pub(super) fn push_json(text: &[u8], out: &mut Vec<u8>) {
    if let Ok(text) = std::str::from_utf8(text) {
        return push_json_str(text.as_bytes(), out);
    }
    for chunk in text.utf8_chunks() {
        push_json_str(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn push_json_str(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| IN_JSON[usize::from(*byte)]) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = &after[1..];
        match after[0] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xc2 => match rest.split_first() {
                Some((second @ 0x80..0xa0, after)) => {
                    push_unicode(*second, out);
                    rest = after;
                }
                _ => out.push(0xc2),
            },
            control => push_unicode(control, out),
        }
    }
    out.extend_from_slice(rest);
}

fn push_unicode(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u00");
    push_hex(byte, out);
}

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// Writes a text as Apache does (`ap_escape_logitem`): visible ASCII and blanks as they are, but for `"` and `\`.
pub(super) fn push_clf(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            other => {
                out.extend_from_slice(b"\\x");
                push_hex(other, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &[u8]) -> String {
        let mut out = Vec::new();
        push_json(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn clf(text: &[u8]) -> String {
        let mut out = Vec::new();
        push_clf(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn apache_writes_it_so() {
        assert_eq!(clf(b"a \"b\" \\ \t\r\n\x08\x0b"), r#"a \"b\" \\ \t\r\n\b\v"#);
        assert_eq!(clf("\u{e9}\x1b[31m\x7f".as_bytes()), r"\xc3\xa9\x1b[31m\x7f");
    }

    #[test]
    fn json_has_no_controls_of_terminals() {
        assert_eq!(json("é\"\\\u{1b}\u{7f}\u{9b}\u{a0}".as_bytes()), "é\\\"\\\\\\u001b\\u007f\\u009b\u{a0}");
        assert_eq!(json(b"a\xffb"), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn json_is_read_back(text in any::<String>()) {
            let written = json(text.as_bytes());
            prop_assert!(!written.chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{written}\"")).unwrap(), text);
        }

        #[test]
        fn clf_is_visible_ascii_without_a_bare_quote(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let written = clf(&text);
            prop_assert!(written.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let unescaped = written.replace("\\\\", "");
            prop_assert!(!unescaped.replace("\\\"", "").contains('"'));
        }
    }
}
