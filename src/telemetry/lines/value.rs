use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::Serialize;

use crate::types::EndpointAddr;

use super::Millis;

/// What a line tells of one field.
#[derive(Clone, Debug)]
pub(crate) enum LineValue<'a> {
    /// Nothing: the field is left out.
    Nothing,
    /// A name or a word of the edge's own: letters, digits and signs that mean nothing in any form.
    Word(&'a str),
    Text(Cow<'a, [u8]>),
    /// A text in which parameters of queries may stand.
    Url(Cow<'a, [u8]>),
    /// Method, target and version.
    RequestLine {
        method: &'a str,
        target: Cow<'a, [u8]>,
        protocol: &'a str,
    },
    Number(u64),
    Decimal(f64),
    Time(SystemTime),
    Client(IpAddr),
    Endpoint(&'a EndpointAddr),
    Waf(WafFinding<'a>),
}

/// What rules have found in a request.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct WafFinding<'a> {
    pub verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<u32>,
    pub rules: &'a [u32],
}

impl<'a> LineValue<'a> {
    pub(super) fn text(text: Option<&'a (impl AsRef<[u8]> + ?Sized)>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(Cow::Borrowed(text.as_ref())))
    }

    /// A text that may be empty.
    pub(super) fn filled(text: &'a str) -> Self {
        Self::text(Some(text).filter(|text| !text.is_empty()))
    }

    /// A word, if there is one.
    pub(super) fn word(word: Option<&'a str>) -> Self {
        word.filter(|word| !word.is_empty()).map_or(Self::Nothing, Self::Word)
    }

    pub(super) fn url(text: &'a str) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Url(Cow::Borrowed(text.as_bytes())) }
    }

    /// A text that has to be put together.
    pub(super) fn written(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut text = Vec::new();
        write(&mut text);
        if text.is_empty() { Self::Nothing } else { Self::Text(Cow::Owned(text)) }
    }

    pub(super) fn request_line(method: &'a str, target: &'a str, protocol: &'a str) -> Self {
        if method.is_empty() {
            return Self::Nothing;
        }
        Self::RequestLine { method, target: Cow::Borrowed(target.as_bytes()), protocol }
    }

    pub(super) fn shown(value: Option<impl fmt::Display>) -> Self {
        value.map_or(Self::Nothing, |value| Self::Text(Cow::Owned(value.to_string().into_bytes())))
    }

    pub(super) fn number(number: Option<impl Into<u64>>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }

    pub(super) fn millis(millis: Option<Millis>) -> Self {
        millis.map_or(Self::Nothing, |millis| Self::Decimal(millis.0.as_micros() as f64 / 1000.0))
    }
}
