//! Writes small databases in the format of MaxMind (version 2.0), for tests of the filter and of the whole edge.

use std::net::IpAddr;

/// A value of a record.
pub(crate) enum Value {
    Text(&'static str),
    Number(u32),
    /// In two bytes, and in eight.
    Short(u16),
    Long(u64),
    Real(f64),
    True,
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
}

/// What stands between the tree and the records.
const SEPARATOR: usize = 16;

/// London, and something of Tokyo with a value of each kind.
pub(crate) fn sample() -> Vec<u8> {
    let country = |code| ("country", Value::Map(vec![("iso_code", Value::Text(code))]));
    let city = Value::Map(vec![("names", Value::Map(vec![("en", Value::Text("London"))]))]);
    let london = Value::Map(vec![country("GB"), ("city", city)]);
    let tokyo = Value::Map(vec![
        country("JP"),
        ("subdivisions", Value::List(vec![Value::Map(vec![("iso_code", Value::Text("13"))])])),
        ("autonomous_system_number", Value::Number(2914)),
        ("is_anonymous", Value::True),
        ("location", Value::Map(vec![("latitude", Value::Real(35.5))])),
    ]);
    database(&[("81.2.69.0", 24, london), ("2001:218::", 32, tokyo)])
}

/// A database with these networks, none of which is within another.
pub(crate) fn database(networks: &[(&str, u32, Value)]) -> Vec<u8> {
    let (mut tree, mut records) = (vec![[None; 2]], Vec::new());
    for (address, prefix, value) in networks {
        let offset = records.len();
        write(value, &mut records);
        let (bits, prefix) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), prefix + 96),
            IpAddr::V6(v6) => (v6.to_bits(), *prefix),
        };
        insert(&mut tree, bits, prefix, offset);
    }
    let count = tree.len();
    let pointer = |side: &Option<Side>| match side {
        None => count,
        Some(Side::Node(node)) => *node,
        Some(Side::Record(offset)) => count + SEPARATOR + offset,
    };
    let mut bytes: Vec<_> =
        tree.iter().flatten().flat_map(|side| u32::try_from(pointer(side)).unwrap().to_be_bytes()).collect();
    bytes.extend([0; SEPARATOR]);
    bytes.extend(records);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    write(&metadata(u32::try_from(count).unwrap()), &mut bytes);
    bytes
}

/// Where a bit leads.
#[derive(Clone, Copy)]
enum Side {
    Node(usize),
    Record(usize),
}

fn insert(tree: &mut Vec<[Option<Side>; 2]>, bits: u128, prefix: u32, offset: usize) {
    let mut node = 0;
    for depth in 0..prefix {
        let bit = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == prefix {
            tree[node][bit] = Some(Side::Record(offset));
            return;
        }
        let next = tree.len();
        node = match tree[node][bit] {
            Some(Side::Node(known)) => known,
            _ => {
                tree.push([None; 2]);
                tree[node][bit] = Some(Side::Node(next));
                next
            }
        };
    }
}

fn metadata(count: u32) -> Value {
    Value::Map(vec![
        ("node_count", Value::Number(count)),
        ("record_size", Value::Short(32)),
        ("ip_version", Value::Short(6)),
        ("database_type", Value::Text("Test")),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1)),
        ("description", Value::Map(vec![("en", Value::Text("Test"))])),
    ])
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Real(number) => {
            control(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Number(number) => {
            control(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::Short(number) => {
            control(5, 2, out);
            out.extend(number.to_be_bytes());
        }
        Value::Long(number) => {
            control(9, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Map(entries) => {
            control(7, entries.len(), out);
            for (name, value) in entries {
                write(&Value::Text(name), out);
                write(value, out);
            }
        }
        Value::List(items) => {
            control(11, items.len(), out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::True => control(14, 1, out),
    }
}

/// What kind follows, and how much of it.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let size = u8::try_from(size).unwrap();
    assert!(size < 29, "longer ones are written in another way");
    match kind {
        ..=7 => out.push(kind << 5 | size),
        _ => out.extend([size, kind - 7]),
    }
}
