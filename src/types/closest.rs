/// The candidate most like `found`, if one is like it at all. What is far too long for a name is like none: to find that out
/// takes as long as its length by that of every candidate, and anybody may ask for it.
pub(crate) fn closest<'c>(found: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    const LIKE_ENOUGH: f64 = 0.8;
    const LONGEST: usize = 128;
    if found.len() > LONGEST {
        return None;
    }
    let found = found.to_lowercase();
    candidates
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (likeness(&found, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// 0 to 1. One slip (a wrong, missing or additional letter, or two that are swapped) always counts as like, which
/// the measure for longer words does not see in short ones.
fn likeness(found: &str, candidate: &str) -> f64 {
    const ONE_SLIP: f64 = 0.9;
    const SHORTEST: usize = 3;
    let by_letters = strsim::jaro_winkler(found, candidate);
    let is_one_slip = found.len() >= SHORTEST && strsim::damerau_levenshtein(found, candidate) == 1;
    if is_one_slip { by_letters.max(ONE_SLIP) } else { by_letters }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_swapped_letters_but_no_strangers() {
        let known = ["listeners", "pools", "routes", "endpoints"];
        let near = |found| closest(found, known.into_iter());
        assert_eq!(near("listener"), Some("listeners"));
        assert_eq!(near("Route"), Some("routes"));
        assert_eq!(near("ednpoints"), Some("endpoints"));
        assert_eq!(near("tls"), None);
        assert_eq!(near("filters"), None);
        assert_eq!(closest("wbe", ["web", "webdav"].into_iter()), Some("web"));
        assert_eq!(closest("b", ["a"].into_iter()), None);
        let long = "a".repeat(129);
        assert_eq!(closest(&long, [&*long].into_iter()), None);
    }
}
