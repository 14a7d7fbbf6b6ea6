use std::fmt::Write;
use std::time::{Duration, SystemTime};

use x509_parser::asn1_rs::{Any, FromDer, GeneralizedTime};

/// The values that stand one after another in DER, such as those of a SEQUENCE.
pub(super) struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    pub(super) fn of(der: &'a [u8]) -> Self {
        Self(der)
    }

    /// Those within the next value.
    pub(super) fn within(&mut self) -> Option<Self> {
        self.next().map(|value| Self(value.data))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Any<'a>;

    /// The next value; none at the end, and none where it is no DER.
    fn next(&mut self) -> Option<Any<'a>> {
        let (rest, value) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }
}

pub(super) fn generalized_time(value: Any<'_>) -> Option<SystemTime> {
    let time = GeneralizedTime::try_from(value).ok()?.utc_datetime().ok()?;
    Some(from_unix(time.unix_timestamp()))
}

/// Times before the epoch become the epoch; for certificates it makes no difference.
pub(super) fn from_unix(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A serial number without what DER puts in front.
pub(super) fn trim_zeros(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|&&byte| byte == 0).count();
    &serial[zeros..]
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
