use http::HeaderName;

/// Where clients show what nobody else is to know. Cookies need not be named: they are never told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// In this header.
    Header(HeaderName),
    /// In this parameter of the query, as it is decoded: 1 to 64 bytes, without blanks and `%=&#?;/,|`. Of one with parts, as
    /// `user[key]`, each is hidden; a configuration whose filter names another is refused.
    Query(String),
}
