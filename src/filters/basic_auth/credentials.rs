use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

/// Who a request says that it comes from, and the password that it shows for it.
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Zeroizing<Vec<u8>>,
}

/// More is surely no name and password.
const LONGEST: usize = 1024;

/// Reads the credentials of a request (RFC 7617 §2). `None` when there are none, there are several, or they cannot be anybody's.
pub(super) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    const SCHEME: &[u8] = b"basic ";
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, encoded) = field.as_bytes().split_at_checked(SCHEME.len())?;
    let encoded = encoded.trim_ascii();
    if !scheme.eq_ignore_ascii_case(SCHEME) || encoded.len() > LONGEST {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    // §2 allows none, and programs in C take a NUL for the end.
    if user.is_empty() || decoded.iter().any(u8::is_ascii_control) {
        return None;
    }
    Some(Credentials { user: user.to_vec(), password: Zeroizing::new(password.to_vec()) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(fields: &[String]) -> Option<(Vec<u8>, Vec<u8>)> {
        let field = |text: &String| (AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        let found = credentials(&fields.iter().map(field).collect())?;
        Some((found.user, found.password.to_vec()))
    }

    fn basic(text: impl AsRef<[u8]>) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_name_ends_at_the_first_colon() {
        // The example of RFC 7617 §2.
        let found = read(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned()]);
        assert_eq!(found, Some((b"Aladdin".to_vec(), b"open sesame".to_vec())));
        assert_eq!(read(&[basic("a:b:c")]), Some((b"a".to_vec(), b"b:c".to_vec())));
        assert_eq!(read(&[basic("a:")]), Some((b"a".to_vec(), Vec::new())));
        assert_eq!(read(&[basic("a:b").replace("Basic ", "bASIC   ")]), Some((b"a".to_vec(), b"b".to_vec())));
        assert_eq!(read(&[basic(b"\xff:\xfe")]), Some((vec![0xff], vec![0xfe])));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for fields in [
            vec![],
            vec![basic("a:b"), basic("a:b")],
            vec![basic("ab")],
            vec![basic(":b")],
            vec![basic("a:b\0c")],
            vec![basic("a\n:b")],
            vec![basic("a:b\x7f")],
            vec!["Basic".to_owned()],
            vec!["Basic a:b".to_owned()],
            vec!["Basic YTpi=".to_owned()],
            vec!["Basic YTp i".to_owned()],
            // The last bits are not zero.
            vec!["Basic YTpiYh==".to_owned()],
            vec!["Basic YTpi, Basic YTpi".to_owned()],
            vec!["Bearer YTpi".to_owned()],
            vec![basic("a:".to_owned() + &"x".repeat(1024))],
        ] {
            assert_eq!(read(&fields), None, "{fields:?}");
        }
    }
}
