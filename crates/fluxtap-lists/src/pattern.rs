//! Patterns of STIX (<https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html> section 9), as
//! far as each of their parts by itself is an indicator: comparisons joined by `OR`.
//!
//! What is joined by `AND` or `FOLLOWEDBY`, negated or qualified says more than one fact, and to take
//! one of them for all would find what the pattern does not mean.

/// What a comparison names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name.
    Domain,
    /// An address or a network.
    Address,
    /// A URL.
    Url,
    /// The number of an autonomous system.
    System,
}

/// The facts of which any one fulfils the pattern; `None` for a pattern of another sort.
pub(crate) fn facts(pattern: &str) -> Option<Vec<(Kind, String)>> {
    let mut reader = Reader { rest: pattern };
    let mut facts = Vec::new();
    loop {
        reader.expect("[")?;
        loop {
            reader.comparison(&mut facts)?;
            if reader.expect("]").is_some() {
                break;
            }
            reader.word("OR")?;
        }
        if reader.is_over() {
            return Some(facts);
        }
        reader.word("OR")?;
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn is_over(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.is_empty()
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    /// A word, with something else behind it.
    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.rest.trim_start().strip_prefix(word)?;
        self.rest = rest;
        (!rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(())
    }

    /// The path of a property, such as `ipv4-addr:value`.
    fn path(&mut self) -> Option<Kind> {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| c.is_whitespace() || "=!<>(".contains(c))?;
        self.rest = &text[end..];
        match &text[..end] {
            "domain-name:value" => Some(Kind::Domain),
            "ipv4-addr:value" | "ipv6-addr:value" => Some(Kind::Address),
            "url:value" => Some(Kind::Url),
            "autonomous-system:number" => Some(Kind::System),
            _ => None,
        }
    }

    fn comparison(&mut self, facts: &mut Vec<(Kind, String)>) -> Option<()> {
        let kind = self.path()?;
        if self.expect("=").is_some() {
            facts.push((kind, self.literal()?));
            return Some(());
        }
        let mut after = Reader { rest: self.rest };
        if after.word("ISSUBSET").is_some() {
            *self = after;
            facts.push((kind, self.literal()?));
            return Some(());
        }
        self.word("IN")?;
        self.expect("(")?;
        loop {
            facts.push((kind, self.literal()?));
            if self.expect(")").is_some() {
                return Some(());
            }
            self.expect(",")?;
        }
    }

    /// A quoted text, in which a backslash stands before what is meant literally, or a number.
    fn literal(&mut self) -> Option<String> {
        let text: &'a str = self.rest.trim_start();
        let Some(quoted) = text.strip_prefix('\'') else {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            self.rest = &text[end..];
            return Some(text[..end].to_owned()).filter(|digits| !digits.is_empty());
        };
        let mut literal = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    self.rest = &quoted[at + 1..];
                    return Some(literal);
                }
                '\\' => literal.push(chars.next()?.1),
                c => literal.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_one_fact_fulfils_is_taken() {
        use Kind::{Address, Domain, System, Url};
        for (pattern, expect) in [
            ("[domain-name:value = 'evil.example']", &[(Domain, "evil.example")][..]),
            ("[ domain-name:value='it\\'s\\\\' ]", &[(Domain, "it's\\")]),
            (
                "[ipv4-addr:value = '198.51.100.7' OR ipv6-addr:value = '2001:db8::7'] OR \
                 [url:value = 'http://evil.example/x']",
                &[
                    (Address, "198.51.100.7"),
                    (Address, "2001:db8::7"),
                    (Url, "http://evil.example/x"),
                ],
            ),
            ("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", &[(Address, "198.51.100.0/24")]),
            (
                "[domain-name:value IN ('a.example', 'b.example')]",
                &[(Domain, "a.example"), (Domain, "b.example")],
            ),
            ("[autonomous-system:number = 64500]", &[(System, "64500")]),
        ] {
            let facts = facts(pattern).unwrap_or_else(|| panic!("{pattern}"));
            let facts: Vec<(Kind, &str)> = facts.iter().map(|(k, text)| (*k, &**text)).collect();
            assert_eq!(facts, expect, "{pattern}");
        }
    }

    #[test]
    fn what_says_more_or_something_else_is_not() {
        for pattern in [
            "",
            "[",
            "[]",
            "domain-name:value = 'evil.example'",
            "[domain-name:value = 'evil.example'",
            "[domain-name:value = 'evil.example",
            "[domain-name:value = evil.example]",
            "[domain-name:value != 'evil.example']",
            "[domain-name:value NOT = 'evil.example']",
            "[domain-name:value LIKE '%.example']",
            "[domain-name:value = 'a.example' AND ipv4-addr:value = '198.51.100.7']",
            "[domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']",
            "[domain-name:value = 'a.example'] WITHIN 5 SECONDS",
            "[domain-name:value = 'a.example'] ORELSE [domain-name:value = 'b.example']",
            "[(domain-name:value = 'a.example')]",
            "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']",
            "[domain-name:value IN ('a.example']",
            "[domain-name:value = '\\",
        ] {
            assert_eq!(facts(pattern), None, "{pattern}");
        }
    }
}
