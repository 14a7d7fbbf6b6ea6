use std::fmt;
use std::sync::OnceLock;

use pingora_http::ResponseHeader;

/// Where the head of a response is.
pub(crate) enum ResponseHead<'a> {
    There(&'a mut ResponseHeader),
    /// It is made once a filter looks at it, which most do not.
    Lazy(&'a mut LazyHead, &'a (dyn Fn() -> ResponseHeader + Sync)),
}

/// A head that may have been made.
#[derive(Debug, Default)]
pub(crate) struct LazyHead {
    read: OnceLock<Box<ResponseHeader>>,
    /// The same from the first change on.
    changed: Option<Box<ResponseHeader>>,
}

impl LazyHead {
    /// The head, if it was made.
    pub(crate) fn into_made(self) -> Option<ResponseHeader> {
        self.changed.or(self.read.into_inner()).map(|head| *head)
    }
}

impl ResponseHead<'_> {
    pub(super) fn get(&self) -> &ResponseHeader {
        match self {
            Self::There(head) => head,
            Self::Lazy(LazyHead { changed: Some(head), .. }, _) => head,
            Self::Lazy(LazyHead { read, .. }, make) => read.get_or_init(|| Box::new(make())),
        }
    }

    pub(super) fn get_mut(&mut self) -> &mut ResponseHeader {
        match self {
            Self::There(head) => head,
            Self::Lazy(LazyHead { read, changed }, make) => {
                changed.get_or_insert_with(|| read.take().unwrap_or_else(|| Box::new(make())))
            }
        }
    }
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use http::header::{AGE, ETAG};

    use super::*;

    #[test]
    fn a_head_is_made_once_and_only_for_who_looks_at_it() {
        let count = AtomicU8::new(0);
        let make = || {
            count.fetch_add(1, Ordering::Relaxed);
            let mut head = ResponseHeader::build(200, None).unwrap();
            head.insert_header(AGE, 7).unwrap();
            head
        };
        assert!(LazyHead::default().into_made().is_none());
        for (changes, expected) in [(false, None), (true, Some("1"))] {
            count.store(0, Ordering::Relaxed);
            let mut lazy = LazyHead::default();
            let mut head = ResponseHead::Lazy(&mut lazy, &make);
            assert_eq!(head.get().headers[AGE], "7");
            if changes {
                head.get_mut().insert_header(ETAG, "1").unwrap();
            }
            assert_eq!(head.get().headers.get(ETAG).map(|value| value.to_str().unwrap()), expected);
            let made = lazy.into_made().unwrap();
            assert_eq!(made.headers.len(), 1 + usize::from(changes));
            assert_eq!(count.load(Ordering::Relaxed), 1);
        }
    }
}
