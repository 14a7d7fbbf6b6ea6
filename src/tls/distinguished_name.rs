use x509_parser::asn1_rs::ToDer;
use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

use super::der::hex;
use super::printable::push_escaped;

/// A name as text (RFC 4514): the most specific part first. Only printable ASCII, as §2.4 allows.
pub(super) fn write(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let mut parts: Vec<_> = name.iter_rdn().collect();
    parts.reverse();
    for (place, part) in parts.into_iter().enumerate() {
        for (index, attribute) in part.iter().enumerate() {
            match (place, index) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            write_attribute(attribute, &mut text);
        }
    }
    text
}

/// Attributes without a registered short name, and values that are no text, are written in the form that any reader
/// knows how to take apart.
fn write_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let oid = attribute.attr_type().to_id_string();
    match (short_name(&oid), attribute.as_str()) {
        (Some(name), Ok(value)) => {
            text.push_str(name);
            text.push('=');
            write_value(value, text);
        }
        (name, _) => {
            text.push_str(name.unwrap_or(&oid));
            text.push_str("=#");
            text.push_str(&hex(&attribute.attr_value().to_der_vec().unwrap_or_default()));
        }
    }
}

/// RFC 4514 §2.4; spaces and number signs are special at the ends only.
fn write_value(value: &str, text: &mut String) {
    const SPECIAL: &[u8] = b"\"+,;<>\\";
    let last = value.len().saturating_sub(1);
    for (place, byte) in value.bytes().enumerate() {
        let special: &[u8] = match byte {
            b' ' if place == 0 || place == last => b" ",
            b'#' if place == 0 => b"#",
            _ => SPECIAL,
        };
        push_escaped(text, byte, special);
    }
}

/// The names of RFC 4514 §3, and others that are registered (RFC 4520) and common in certificates.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "givenName",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}
