/// What rules have found in a request, among the request's extensions; the worst where a route has several filters. A
/// request in which nothing was found has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct WafVerdict {
    /// What became of the request.
    pub word: WafWord,
    /// The anomaly score, where the rules count one.
    pub score: Option<u32>,
    /// The numbers of the rules that matched, of which eight are told.
    pub rules: Vec<u32>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WafWord {
    /// It passed.
    Passed,
    /// It passed, because nothing is refused (`mode: detect`).
    WouldBlock,
    /// It was refused.
    Blocked,
}

impl WafWord {
    /// One word for logs: `passed`, `would_block` or `blocked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::WouldBlock => "would_block",
            Self::Blocked => "blocked",
        }
    }
}
