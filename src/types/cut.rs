/// What stands at the end of a text that was cut.
const MARK: char = '…';

/// A text of so many bytes at most; one that was longer ends with `…`. There is room for that.
pub(crate) fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let room = longest.saturating_sub(MARK.len_utf8());
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_letters_are_left_and_a_mark() {
        let cut = |text: &str, longest| cut(text.to_owned(), longest);
        assert_eq!([cut("", 3), cut("abc", 3), cut("abcd", 3)], ["", "abc", "…"]);
        assert_eq!([cut("abcdef", 5), cut("aéböc", 5), cut("éé", 4)], ["ab…", "a…", "éé"]);
    }
}
