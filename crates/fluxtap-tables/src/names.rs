//! Names of autonomous systems as files give them.

use std::collections::BTreeMap;

/// Names by number; the first one of a number counts.
pub(crate) type Names = BTreeMap<u32, String>;

/// Longest name kept, in characters; registries allow less.
const NAME_CHARS_MAX: usize = 200;

/// Keeps the first name of a number that says something. Whether this one agrees with it.
pub(crate) fn add(names: &mut Names, asn: u32, name: &str) -> bool {
    match names.get_mut(&asn) {
        Some(known) if known.is_empty() => {
            *known = readable(name);
            true
        }
        Some(known) => is_readable_form(known, name) || *known == readable(name),
        None => {
            names.insert(asn, readable(name));
            true
        }
    }
}

/// Whether a name is kept as it stands and is this one: nearly always, so nothing is allocated.
fn is_readable_form(known: &str, name: &str) -> bool {
    name.is_empty() || known == name
}

/// A name without control characters, without outer blanks, and not without end.
pub(crate) fn readable(name: &str) -> String {
    let clean = name.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(NAME_CHARS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_readable() {
        assert_eq!(readable(" A\tB\u{1b}[31m\n"), "A B [31m");
        assert_eq!(readable(&"é".repeat(1000)).chars().count(), NAME_CHARS_MAX);
    }

    #[test]
    fn the_first_name_that_says_something_counts() {
        let mut names = Names::new();
        assert!(add(&mut names, 1, ""));
        assert!(add(&mut names, 1, " One\n"));
        assert!(add(&mut names, 1, "One"));
        assert!(add(&mut names, 1, ""));
        assert!(!add(&mut names, 1, "Two"));
        assert_eq!(names[&1], "One");
    }
}
