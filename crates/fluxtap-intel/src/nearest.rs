//! What was meant: the known word nearest to one that is not known.

/// The candidate nearest to `word`, if one is near: a third of its characters may differ, at least
/// two. Among equals the first.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distances = candidates.into_iter().filter_map(|it| Some((distance(&word, it)?, it)));
    distances.min_by_key(|&(distance, _)| distance).map(|(_, found)| found)
}

/// The candidates near to `word`, at most `max` of them, the nearest first and equals by name;
/// no more are kept while looking through however many there are.
#[must_use]
pub fn near(word: &str, candidates: impl IntoIterator<Item = String>, max: usize) -> Vec<String> {
    let word = word.to_lowercase();
    let mut near: Vec<(usize, String)> = Vec::with_capacity(max + 1);
    for candidate in candidates {
        let Some(distance) = distance(&word, &candidate) else { continue };
        let found = (distance, candidate);
        let place = near.partition_point(|known| *known < found);
        near.insert(place, found);
        near.truncate(max);
    }
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// How much a candidate differs from a word in lower case, if that is little enough.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let distance = strsim::osa_distance(word, &candidate.to_lowercase());
    (distance <= (word.chars().count() / 3).max(2)).then_some(distance)
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
        let several =
            |max| near("cat", ["cut", "dog", "cats", "cat", "bat"].map(str::to_owned), max);
        assert_eq!(several(9), ["cat", "bat", "cats", "cut"]);
        assert_eq!(several(2), ["cat", "bat"]);
        assert!(several(0).is_empty());
    }
}
