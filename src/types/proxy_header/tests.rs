use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn inet(client: &str, reached: &str) -> ProxyHeader {
    ProxyHeader::Inet { client: client.parse().unwrap(), reached: reached.parse().unwrap() }
}

/// A header of version 2 with this command, family and rest.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb];

#[test]
fn lines_of_version_1_are_read() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n", inet("192.0.2.1:12345", "10.0.0.1:443")),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            inet("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", inet("0.0.0.0:0", "0.0.0.0:0")),
        ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", inet("[2001:db8::1]:1", "[::1]:2")),
        (
            "PROXY TCP6 2001:0DB8:0:0:0:0:0:1 ::ffff:10.0.0.1 1 2\r\n",
            inet("[2001:db8::1]:1", "[::ffff:10.0.0.1]:2"),
        ),
        ("PROXY UNKNOWN\r\n", ProxyHeader::Unknown),
        ("PROXY UNKNOWN whatever stands  here 70000\r\n", ProxyHeader::Unknown),
        (
            "PROXY UNKNOWN ffff:f...f:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:fff 65535\r\n",
            ProxyHeader::Unknown,
        ),
    ] {
        let followed = format!("{line}GET / HTTP/1.1\r\n\r\n");
        assert_eq!(ProxyHeader::scan(followed.as_bytes()), Ok(Scan::Whole(expected, line.len())), "{line}");
    }
}

#[test]
fn lines_that_are_not_of_version_1_are_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY tcp4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1  2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.1\t10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\r\n",
        "PROXY UNKNOWN\r \r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN \u{fffd}\rx\r\n",
        "PROXY TCP4 192.0.2.01 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
        "PROXY TCP4 ::1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
        "PROXY TCP4 host 10.0.0.1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 0x2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1  2\r\n",
    ] {
        assert_eq!(ProxyHeader::scan(line.as_bytes()), Err(InvalidProxyHeader::Line), "{line:?}");
    }
    let endless = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(endless.len(), 108);
    assert_eq!(ProxyHeader::scan(endless.as_bytes()), Err(InvalidProxyHeader::LongLine));
    assert_eq!(ProxyHeader::scan(&endless.as_bytes()[..106]), Ok(Scan::Partial));
}

#[test]
fn whatever_begins_otherwise_is_refused_at_its_first_wrong_byte() {
    let wrong: [&[u8]; 7] = [b"G", b"PRI", b"PROXY\t", b"p", b"\x16", b"\r\n\r\n\0\r\nQUIT\r", b"\r\nG"];
    for bytes in wrong {
        let (before, what) = (&bytes[..bytes.len() - 1], bytes.escape_ascii());
        assert_eq!(ProxyHeader::scan(before), Ok(Scan::Partial), "{what}");
        assert_eq!(ProxyHeader::scan(bytes), Err(InvalidProxyHeader::Missing), "{what}");
    }
}

#[test]
fn headers_of_version_2_are_read() {
    let ipv6: Vec<u8> = [
        &"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets()[..],
        &"::1".parse::<std::net::Ipv6Addr>().unwrap().octets(),
        &[0x30, 0x39, 0x01, 0xbb],
    ]
    .concat();
    let with = |tlvs: &[u8]| [&IPV4, tlvs].concat();
    let told = inet("192.0.2.1:12345", "10.0.0.1:443");
    for (what, header, expected) in [
        ("IPv4", binary(0x21, 0x11, &IPV4), told),
        ("IPv6", binary(0x21, 0x21, &ipv6), inet("[2001:db8::1]:12345", "[::1]:443")),
        ("Unix", binary(0x21, 0x31, &[b'/'; 216]), ProxyHeader::Unix),
        ("unspecified", binary(0x21, 0x00, &[]), ProxyHeader::Unknown),
        ("unspecified with a rest", binary(0x21, 0x00, &[9; 50]), ProxyHeader::Unknown),
        ("datagrams", binary(0x21, 0x12, &IPV4), ProxyHeader::Unknown),
        ("local", binary(0x20, 0x00, &[]), ProxyHeader::Local),
        ("local with a rest", binary(0x20, 0x11, &[1, 2, 3]), ProxyHeader::Local),
        ("local of an unknown family", binary(0x20, 0xff, &[]), ProxyHeader::Local),
        ("an empty TLV", binary(0x21, 0x11, &with(&[0x04, 0, 0])), told),
        ("TLVs", binary(0x21, 0x11, &with(b"\x01\0\x02h2\x02\0\x05a.com\xee\0\x01x")), told),
        ("the longest", binary(0x21, 0x11, &with(&[&[0x04, 0x0f, 0xf1][..], &[0; 4081]].concat())), told),
    ] {
        let followed = [header.as_slice(), b"GET /"].concat();
        assert_eq!(ProxyHeader::scan(&followed), Ok(Scan::Whole(expected, header.len())), "{what}");
    }
}

#[test]
fn headers_that_are_not_of_version_2_are_refused() {
    use InvalidProxyHeader::*;
    let with = |tlvs: &[u8]| binary(0x21, 0x11, &[&IPV4, tlvs].concat());
    for (what, header, expected) in [
        ("version 1 in binary", binary(0x11, 0x11, &IPV4), Command(0x11)),
        ("version 3", binary(0x31, 0x11, &IPV4), Command(0x31)),
        ("another command", binary(0x22, 0x11, &IPV4), Command(0x22)),
        ("another family", binary(0x21, 0x41, &IPV4), Family(0x41)),
        ("another transport", binary(0x21, 0x13, &IPV4), Family(0x13)),
        ("short IPv4", binary(0x21, 0x11, &IPV4[..11]), Addresses),
        ("short IPv6", binary(0x21, 0x21, &[0; 35]), Addresses),
        ("short Unix", binary(0x21, 0x31, &[0; 215]), Addresses),
        ("half a TLV", with(&[0x04, 0]), Tlvs),
        ("a TLV beyond the end", with(&[0x04, 0, 2, 0]), Tlvs),
        ("a long checksum", with(&[0x03, 0, 5, 0, 0, 0, 0, 0]), Tlvs),
        ("a wrong checksum", with(&[0x03, 0, 4, 0, 0, 0, 0]), Checksum),
        ("too long", binary(0x21, 0x11, &[0; 4097]), TooLong(4097)),
    ] {
        assert_eq!(ProxyHeader::scan(&header), Err(expected), "{what}");
    }
    // Refused before all of it has come.
    let too_long = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat();
    assert_eq!(ProxyHeader::scan(&too_long), Err(TooLong(u16::MAX)));
}

#[test]
fn a_right_checksum_is_believed_and_any_flipped_bit_is_not() {
    // As HAProxy sends it with `send-proxy-v2 proxy-v2-options crc32c`.
    let tlvs = b"\x04\0\x02\0\0\x03\0\x04\0\0\0\0";
    let mut header = binary(0x21, 0x11, &[&IPV4[..], tlvs].concat());
    let sum = reference_crc32c(&header).to_be_bytes();
    let place = header.len() - 4;
    header[place..].copy_from_slice(&sum);
    assert_eq!(
        ProxyHeader::scan(&header),
        Ok(Scan::Whole(inet("192.0.2.1:12345", "10.0.0.1:443"), header.len()))
    );
    for bit in 16 * 8..(16 + 12) * 8 {
        let mut flipped = header.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(ProxyHeader::scan(&flipped), Err(InvalidProxyHeader::Checksum), "bit {bit}");
    }
}

/// By polynomial division, with the bits in their plain order.
fn reference_crc32c(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            let carry = remainder & 0x8000_0000 != 0;
            remainder <<= 1;
            if carry {
                remainder ^= 0x1edc_6f41;
            }
        }
    }
    !remainder.reverse_bits()
}

#[test]
fn what_is_written_is_this_to_the_byte() {
    let told = inet("192.0.2.1:12345", "10.0.0.1:443");
    assert_eq!(told.to_v1(), b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n");
    assert_eq!(inet("[2001:db8::1]:1", "[::1]:2").to_v1(), b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n");
    for header in [ProxyHeader::Local, ProxyHeader::Unknown, ProxyHeader::Unix] {
        assert_eq!(header.to_v1(), b"PROXY UNKNOWN\r\n");
    }
    assert_eq!(told.to_v2(Tlvs::default()), binary(0x21, 0x11, &IPV4));
    assert_eq!(ProxyHeader::Local.to_v2(Tlvs::default()), binary(0x20, 0x00, &[]));
    assert_eq!(ProxyHeader::Unknown.to_v2(Tlvs::default()), binary(0x21, 0x00, &[]));
    let tlvs = Tlvs { alpn: Some(b"h2"), authority: Some("a.com") };
    let expected = binary(0x21, 0x11, &[&IPV4[..], b"\x01\0\x02h2\x02\0\x05a.com"].concat());
    assert_eq!(told.to_v2(tlvs), expected);
}

#[test]
fn both_addresses_of_a_client_are_of_one_family() {
    let of = |client: &str, reached: Option<&str>| {
        ProxyHeader::of_client(Some(client.parse().unwrap()), reached.map(|reached| reached.parse().unwrap()))
    };
    assert_eq!(of("192.0.2.1:1", Some("10.0.0.1:2")), inet("192.0.2.1:1", "10.0.0.1:2"));
    assert_eq!(of("[::ffff:192.0.2.1]:1", Some("[::ffff:10.0.0.1]:2")), inet("192.0.2.1:1", "10.0.0.1:2"));
    assert_eq!(of("192.0.2.1:1", Some("[::1]:2")), inet("[::ffff:192.0.2.1]:1", "[::1]:2"));
    assert_eq!(of("[2001:db8::1]:1", Some("10.0.0.1:2")), inet("[2001:db8::1]:1", "[::ffff:10.0.0.1]:2"));
    assert_eq!(of("192.0.2.1:0", None), inet("192.0.2.1:0", "0.0.0.0:0"));
    assert_eq!(of("[2001:db8::1]:0", None), inet("[2001:db8::1]:0", "[::ffff:0.0.0.0]:0"));
    assert_eq!(ProxyHeader::of_client(None, Some("10.0.0.1:2".parse().unwrap())), ProxyHeader::Unknown);
}

fn any_header() -> impl Strategy<Value = ProxyHeader> {
    let inet = (any::<SocketAddr>(), any::<SocketAddr>());
    prop_oneof![
        8 => inet.prop_map(|(client, reached)| ProxyHeader::of_client(Some(client), Some(reached))),
        1 => Just(ProxyHeader::Local),
        1 => Just(ProxyHeader::Unknown),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        header in any_header(),
        alpn in proptest::option::of("[a-z0-9/.]{1,20}"),
        authority in proptest::option::of("[a-z.]{1,255}"),
        after in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let tlvs = Tlvs { alpn: alpn.as_ref().map(String::as_bytes), authority: authority.as_deref() };
        let in_v1 = if header == ProxyHeader::Local { ProxyHeader::Unknown } else { header };
        for (bytes, expected) in [(header.to_v1(), in_v1), (header.to_v2(tlvs), header)] {
            let length = bytes.len();
            prop_assert!(length <= ProxyHeader::LONGEST);
            for end in 0..length {
                prop_assert_eq!(ProxyHeader::scan(&bytes[..end]), Ok(Scan::Partial));
            }
            let followed = [bytes, after.clone()].concat();
            prop_assert_eq!(ProxyHeader::scan(&followed), Ok(Scan::Whole(expected, length)));
        }
    }

    #[test]
    fn any_bytes_have_an_answer_that_more_bytes_do_not_change(
        start in prop_oneof![
            Just(&b""[..]),
            Just(b"PROXY ".as_slice()),
            Just(b"PROXY TCP4 ".as_slice()),
            Just(SIGNATURE),
            Just(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".as_slice()),
        ],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, &bytes].concat();
        let mut last = Ok(Scan::Partial);
        for end in 0..=bytes.len() {
            let scan = ProxyHeader::scan(&bytes[..end]);
            if last == Ok(Scan::Partial) {
                last = scan;
            }
            prop_assert_eq!(scan, last);
            if let Ok(Scan::Whole(_, length)) = scan {
                prop_assert!(length <= end);
            }
        }
    }

    #[test]
    fn lines_of_any_words_have_an_answer(line in "PROXY (TCP4|TCP6|UNKNOWN)( [0-9a-f.:]{0,6}){0,6}\r\n") {
        let scan = ProxyHeader::scan(line.as_bytes());
        prop_assert_ne!(scan, Ok(Scan::Partial));
    }
}
