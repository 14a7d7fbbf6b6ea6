/// Why a token lets nobody in. Clients learn no more of it than whether it has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    #[error("its algorithm is not allowed")]
    Algorithm,
    #[error("its type is not allowed")]
    Kind,
    #[error("no known key has signed it")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("its issuer is not allowed")]
    Issuer,
    #[error("it is for somebody else")]
    Audience,
    #[error("a required claim is missing")]
    Missing,
}
