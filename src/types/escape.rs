/// The byte that two hexadecimal digits stand for, as they follow a `%` (RFC 3986 §2.1).
pub(crate) fn escaped_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_in_either_case_are_a_byte() {
        assert_eq!(escaped_byte(b'2', b'F'), Some(b'/'));
        assert_eq!(escaped_byte(b'f', b'f'), Some(255));
        for (high, low) in [(b'+', b'1'), (b'1', b'g'), (b' ', b'1')] {
            assert_eq!(escaped_byte(high, low), None);
        }
    }
}
