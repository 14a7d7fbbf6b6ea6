use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut};
use http::{HeaderValue, StatusCode, Version};
use pingora_cache::key::HashBinary;
use pingora_http::{HeaderNameVariant, ResponseHeader};

use super::{Draft, Times};

/// Lengths, times and flags one after another, in the order of bytes of the network.
impl Draft {
    pub(in crate::cache) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        put(&mut bytes, &self.key);
        for variant in [self.place, self.variance] {
            bytes.put_u8(u8::from(variant.is_some()));
            bytes.put_slice(&variant.unwrap_or_default());
        }
        let Times { created, provenance, epoch, fresh_until, while_revalidate, if_error } = self.times;
        for time in [created, provenance, epoch, fresh_until] {
            bytes.put_i128(nanoseconds(time));
        }
        bytes.put_u32(while_revalidate);
        bytes.put_u32(if_error);
        put_head(&mut bytes, &self.head);
        bytes
    }

    /// The answer that was encoded; `None` when these bytes are none.
    pub(in crate::cache) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = &mut &*bytes;
        let key = take(rest)?.into();
        let [place, variance] = [take_variant(rest)?, take_variant(rest)?];
        let [created, provenance, epoch, fresh_until] =
            [take_time(rest)?, take_time(rest)?, take_time(rest)?, take_time(rest)?];
        let [while_revalidate, if_error] = [rest.try_get_u32().ok()?, rest.try_get_u32().ok()?];
        let times = Times { created, provenance, epoch, fresh_until, while_revalidate, if_error };
        let head = take_head(rest)?;
        rest.is_empty().then_some(Self { key, place, variance, head, times })
    }
}

/// A head with names and values of their own. Those of one that has come are parts of what was read, and would keep all of that.
pub(super) fn copied(head: &ResponseHeader) -> ResponseHeader {
    let mut bytes = Vec::with_capacity(1024);
    put_head(&mut bytes, head);
    take_head(&mut &*bytes).unwrap_or_else(|| head.clone())
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.put_u32(part.len() as u32);
    bytes.put_slice(part);
}

fn take<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

fn take_variant(rest: &mut &[u8]) -> Option<Option<HashBinary>> {
    let is_some = rest.try_get_u8().ok()? != 0;
    let mut variant = HashBinary::default();
    rest.try_copy_to_slice(&mut variant).ok()?;
    Some(is_some.then_some(variant))
}

/// Since 1970, or before it.
fn nanoseconds(time: SystemTime) -> i128 {
    let signed = |span: Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
    time.duration_since(SystemTime::UNIX_EPOCH).map_or_else(|before| -signed(before.duration()), signed)
}

fn take_time(rest: &mut &[u8]) -> Option<SystemTime> {
    let nanoseconds = rest.try_get_i128().ok()?;
    let span = nanoseconds.unsigned_abs();
    let second = u128::from(1_000_000_000_u32);
    let span = Duration::new(u64::try_from(span / second).ok()?, (span % second) as u32);
    let epoch = SystemTime::UNIX_EPOCH;
    if nanoseconds < 0 { epoch.checked_sub(span) } else { epoch.checked_add(span) }
}

/// Names keep the case in which they came.
fn put_head(bytes: &mut Vec<u8>, head: &ResponseHeader) {
    bytes.put_u16(head.status.as_u16());
    bytes.put_u8(match head.version {
        Version::HTTP_10 => 10,
        Version::HTTP_2 => 20,
        _ => 11,
    });
    let reason = head.get_reason_phrase().filter(|reason| Some(*reason) != head.status.canonical_reason());
    put(bytes, reason.unwrap_or_default().as_bytes());
    bytes.put_u8(u8::from(head.has_case()));
    bytes.put_u32(head.headers.len() as u32);
    let _ = head.map(|name, value| {
        let name = match &name {
            HeaderNameVariant::Case(name) => name.as_slice(),
            HeaderNameVariant::Titled(name) => name.as_bytes(),
        };
        put(bytes, name);
        put(bytes, value.as_bytes());
        Ok(())
    });
}

fn take_head(rest: &mut &[u8]) -> Option<ResponseHeader> {
    let status = StatusCode::from_u16(rest.try_get_u16().ok()?).ok()?;
    let version = match rest.try_get_u8().ok()? {
        10 => Version::HTTP_10,
        20 => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let reason = std::str::from_utf8(take(rest)?).ok()?;
    let has_case = rest.try_get_u8().ok()? != 0;
    let count = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let expected = Some(count.min(rest.len()));
    let build = if has_case { ResponseHeader::build } else { ResponseHeader::build_no_case };
    let mut head: ResponseHeader = build(status, expected).ok()?;
    head.set_version(version);
    if !reason.is_empty() {
        head.set_reason_phrase(Some(reason)).ok()?;
    }
    for _ in 0..count {
        let name = std::str::from_utf8(take(rest)?).ok()?.to_owned();
        let value = HeaderValue::from_bytes(take(rest)?).ok()?;
        head.append_header(name, value).ok()?;
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft(fields: &[(String, String)], has_case: bool) -> Draft {
        let build = if has_case { ResponseHeader::build } else { ResponseHeader::build_no_case };
        let mut head = build(StatusCode::NOT_FOUND, None).unwrap();
        for (name, value) in fields {
            head.append_header(name.clone(), value.as_str()).unwrap();
        }
        let now = SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
        let times = Times {
            created: now,
            provenance: now - Duration::from_secs(1),
            epoch: SystemTime::UNIX_EPOCH - Duration::from_millis(1500),
            fresh_until: now + Duration::from_secs(1 << 31),
            while_revalidate: 7,
            if_error: u32::MAX,
        };
        Draft { key: (*b"key").into(), place: None, variance: Some([9; 16]), head, times }
    }

    #[test]
    fn a_reason_and_a_version_come_back() {
        let mut draft = draft(&[], true);
        draft.head.set_reason_phrase(Some("Nowhere")).unwrap();
        draft.head.set_version(Version::HTTP_10);
        let read = Draft::decode(&draft.encode()).unwrap();
        assert_eq!((read.head.get_reason_phrase(), read.head.version), (Some("Nowhere"), Version::HTTP_10));
    }

    proptest! {
        #[test]
        fn an_answer_comes_back_as_it_was(
            fields in proptest::collection::vec(("[A-Za-z][A-Za-z-]{0,12}", "[ -~]{0,20}"), 0..20),
            has_case: bool,
        ) {
            let draft = draft(&fields, has_case);
            let bytes = draft.encode();
            let read = Draft::decode(&bytes).unwrap();
            prop_assert_eq!((&read.key, read.place, read.variance), (&draft.key, draft.place, draft.variance));
            prop_assert_eq!(read.times, draft.times);
            prop_assert_eq!((read.head.status, &read.head.headers), (draft.head.status, &draft.head.headers));
            let [one, other] = [&read.head, &draft.head].map(|head| {
                let mut wire = Vec::new();
                head.header_to_h1_wire(&mut wire);
                wire
            });
            prop_assert_eq!(one, other);
            for length in 0..bytes.len() {
                prop_assert!(Draft::decode(&bytes[..length]).is_none());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Draft::decode(&bytes);
        }
    }
}
