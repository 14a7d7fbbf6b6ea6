/// Adds a byte to a text as it is when it is printable ASCII and none of `special`, else as `\` and two hexadecimal
/// digits.
pub(super) fn push_escaped(text: &mut String, byte: u8, special: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let is_printable = byte == b' ' || byte.is_ascii_graphic();
    if is_printable && !special.contains(&byte) {
        text.push(char::from(byte));
    } else {
        text.extend(['\\', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
