//! Readers for values whose range is narrower than their type's, for `#[serde(deserialize_with)]`.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use crate::types::{ByteSize, Percent, Span};

/// Reads a whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, const MIN: u64, const MAX: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_u64(WholeVisitor::<MIN, MAX, T>(PhantomData))
}

/// As [`whole`], for a key that may be `null`.
pub(super) fn optional_whole<'de, const MIN: u64, const MAX: u64, T, D>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    Ok(Option::<Whole<MIN, MAX, T>>::deserialize(deserializer)?.map(|whole| whole.0))
}

struct Whole<const MIN: u64, const MAX: u64, T>(T);

impl<'de, const MIN: u64, const MAX: u64, T: TryFrom<u64>> Deserialize<'de> for Whole<MIN, MAX, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole::<MIN, MAX, T, D>(deserializer).map(Self)
    }
}

struct WholeVisitor<const MIN: u64, const MAX: u64, T>(PhantomData<T>);

impl<const MIN: u64, const MAX: u64, T: TryFrom<u64>> Visitor<'_> for WholeVisitor<MIN, MAX, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number, {MIN} to {MAX}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let in_range = (MIN..=MAX).contains(&number);
        let converted = in_range.then(|| T::try_from(number).ok()).flatten();
        converted.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

/// Reads a duration of `MIN` to `MAX` milliseconds.
pub(super) fn span<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Span, D::Error> {
    let (min, max) = (Span::from_millis(MIN), Span::from_millis(MAX));
    let span = Span::deserialize(deserializer)?;
    if (min..=max).contains(&span) {
        return Ok(span);
    }
    Err(D::Error::custom(format_args!("`{span}` is out of range; {min} to {max} are allowed")))
}

/// As [`span`], for a key without a default of its own.
pub(super) fn optional_span<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Span>, D::Error> {
    span::<MIN, MAX, D>(deserializer).map(Some)
}

/// Reads a duration that is longer than zero.
pub(super) fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(deserializer)?;
    if span.is_zero() {
        return Err(D::Error::custom("`0s` leaves no time at all; write 1ms or more"));
    }
    Ok(span)
}

/// Reads a size from `MIN` to `MAX` KiB.
pub(super) fn size<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ByteSize, D::Error> {
    let (min, max) = (ByteSize::from_kib(MIN), ByteSize::from_kib(MAX));
    let size = ByteSize::deserialize(deserializer)?;
    if (min..=max).contains(&size) {
        return Ok(size);
    }
    Err(D::Error::custom(format_args!("`{size}` is out of range; {min} to {max} are allowed")))
}

/// Reads a percentage from `MIN` to `MAX`.
pub(super) fn percent<'de, const MIN: u16, const MAX: u16, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Percent, D::Error> {
    let percent = Percent::deserialize(deserializer)?;
    if (MIN..=MAX).contains(&percent.get()) {
        return Ok(percent);
    }
    Err(D::Error::custom(format_args!("`{percent}` is out of range; {MIN}% to {MAX}% are allowed")))
}
