/// Every word by which a filter refuses or fails a request; docs/errors.md explains them.
pub(crate) const WORDS: [&str; 25] = [
    "rate_limited",
    "rate_limit_store",
    "concurrency_limited",
    "overloaded",
    "bandwidth_exceeded",
    "client_refused",
    "country_refused",
    "unauthorized",
    "jwt_expired",
    "jwt_invalid",
    "jwt_keys_unavailable",
    "client_cert_required",
    "client_cert_refused",
    "ambiguous_credentials",
    "auth_unavailable",
    "auth_overloaded",
    "waf_blocked",
    "waf_body_too_large",
    "waf_overloaded",
    "decompress_bomb",
    "decompress_busy",
    "decompress_failed",
    "forbidden",
    "bad_purge",
    "fault_injected",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What is explained is what there is: tests/it/documentation.rs looks for each word in the code.
    #[test]
    fn each_word_that_is_explained_is_known() {
        let text = include_str!("../../docs/errors.md");
        let (_, of_filters) = text.split_once("\n## Words of filters\n").unwrap();
        let explained = of_filters.split("\n### `").skip(1);
        let explained: Vec<_> = explained.filter_map(|section| section.split('`').next()).collect();
        assert_eq!(WORDS.as_slice(), explained);
    }
}
