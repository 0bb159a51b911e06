//! What was meant: the known word nearest to one that is not known.

/// The candidate nearest to `word`, if one is near: a third of its characters may differ, at least
/// two. Among equals the first.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distances = candidates.into_iter().filter_map(|it| Some((distance(&word, it)?, it)));
    distances.min_by_key(|&(distance, _)| distance).map(|(_, found)| found)
}

/// The candidates near to a word, each once, the nearest first and equals by name; only as many as
/// are wanted are kept, however many are offered.
#[derive(Clone, Debug)]
pub struct Near {
    word: String,
    max: usize,
    found: Vec<(usize, String)>,
}

impl Near {
    /// Nothing offered yet; at most `max` are wanted.
    #[must_use]
    pub fn new(word: &str, max: usize) -> Self {
        Self { word: word.to_lowercase(), max, found: Vec::new() }
    }

    /// Keeps a candidate if it is nearer than others.
    pub fn offer(&mut self, candidate: &str) {
        // What is offered again is nearly always what is known.
        if self.found.iter().any(|(_, known)| known == candidate) {
            return;
        }
        let Some(distance) = distance(&self.word, candidate) else { return };
        let found = (distance, candidate.to_owned());
        self.found.insert(self.found.partition_point(|known| *known < found), found);
        self.found.truncate(self.max);
    }

    /// What was found.
    pub fn found(&self) -> impl Iterator<Item = &str> {
        self.found.iter().map(|(_, candidate)| candidate.as_str())
    }
}

/// How much a candidate differs from a word in lower case, if that is little enough.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let chars = word.chars().count();
    let most = (chars / 3).max(2);
    // Each character more or less is a difference.
    if candidate.chars().count().abs_diff(chars) > most {
        return None;
    }
    let distance = strsim::osa_distance(word, &candidate.to_lowercase());
    (distance <= most).then_some(distance)
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

    #[test]
    fn the_nearest_are_kept_each_once() {
        for (max, expect) in
            [(9, &["cat", "bat", "cats", "cut"][..]), (2, &["cat", "bat"]), (0, &[])]
        {
            let mut near = Near::new("Cat", max);
            for candidate in ["cut", "dogma", "cats", "cat", "cut", "bat", "cat"] {
                near.offer(candidate);
            }
            assert_eq!(near.found().collect::<Vec<_>>(), expect);
        }
    }
}
