//! What was meant: the known word nearest to one that is not known.

/// The candidate nearest to `word`, if one is near: a third of its characters may differ, at least
/// two. Among equals the first.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let differs = |candidate: &str| strsim::osa_distance(&word, &candidate.to_lowercase());
    let distances = candidates.into_iter().map(|candidate| (differs(candidate), candidate));
    let (distance, found) = distances.min_by_key(|&(distance, _)| distance)?;
    (distance <= (word.chars().count() / 3).max(2)).then_some(found)
}

/// `, did you mean 'x'?` or nothing, to be put behind an error.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |found| format!("; did you mean '{found}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_guess_is_not_made() {
        let known = ["single_flux", "double_flux", "cloudfront.net", "AS13335"];
        for (word, expect) in [
            ("singleflux", Some("single_flux")),
            ("duoble_flux", Some("double_flux")),
            ("Cloudfront.com", Some("cloudfront.net")),
            ("as13336", Some("AS13335")),
            ("entirely", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expect, "{word}");
        }
        assert_eq!(nearest("x", []), None);
    }
}
