//! What the table says about an address: the small facts a window keeps for each address it has seen.

use std::fmt;

/// Who announces an address, and what kind of network that is: eight bytes, made to be stored.
///
/// Unknown parts are neutral: `asn` 0, [`Country::UNKNOWN`] and [`AddressClass::Unknown`] mean
/// that nothing is known, and no rule may read a guess out of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Number of the autonomous system that announces the address; 0 when unknown.
    pub asn: u32,
    /// Country of the registration, which is not where the host stands.
    pub country: Country,
    /// Kind of network, by autonomous system.
    pub class: AddressClass,
    /// One of the few clouds so large that a change of address inside it says nothing.
    pub hyperscaler: bool,
}

impl Owner {
    /// The owner of an address about which nothing is known.
    pub const UNKNOWN: Self = Self {
        asn: 0,
        country: Country::UNKNOWN,
        class: AddressClass::Unknown,
        hyperscaler: false,
    };
}

/// ISO 3166-1 alpha-2 code, as the registries write it (`EU` and `AP` included).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// No country known.
    pub const UNKNOWN: Self = Self([0; 2]);

    /// The country of a two-letter code; `None` unless it is two upper-case ASCII letters.
    pub const fn from_code(code: [u8; 2]) -> Option<Self> {
        if code[0].is_ascii_uppercase() && code[1].is_ascii_uppercase() {
            Some(Self(code))
        } else {
            None
        }
    }

    /// The country of bytes that were checked: two upper-case letters, or zeros when unknown.
    pub(crate) const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(bytes)
    }

    /// The two letters, or zeros when unknown.
    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        self.0
    }

    /// The code as text; `None` when unknown.
    pub fn as_str(&self) -> Option<&str> {
        if *self == Self::UNKNOWN { None } else { std::str::from_utf8(&self.0).ok() }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().unwrap_or("unknown"))
    }
}

/// Kind of network an address belongs to, judged by its autonomous system.
///
/// `Unknown` is neutral: most access networks have no telling name, so silence is no evidence of
/// hosting. `Cdn` is given to provider-run edges alone, because those addresses are subtracted;
/// a cloud where anyone can rent an address is `Hosting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AddressClass {
    /// Nothing known; neutral everywhere.
    #[default]
    Unknown = 0,
    /// Homes, offices and phones: where bots live.
    Access = 1,
    /// Servers anyone can rent.
    Hosting = 2,
    /// Edges run by a content delivery provider.
    Cdn = 3,
    /// Education, research and the state.
    Education = 4,
}

impl AddressClass {
    /// The class as a lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Access => "access",
            Self::Hosting => "hosting",
            Self::Cdn => "cdn",
            Self::Education => "education",
        }
    }

    /// The class of a word of [`AddressClass::as_str`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Unknown, Self::Access, Self::Hosting, Self::Cdn, Self::Education]
            .into_iter()
            .find(|class| class.as_str() == word)
    }

    /// The class of a number of the table.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Unknown,
            1 => Self::Access,
            2 => Self::Hosting,
            3 => Self::Cdn,
            4 => Self::Education,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_fits_eight_bytes() {
        assert_eq!(size_of::<Owner>(), 8);
        assert_eq!(Owner::default(), Owner::UNKNOWN);
    }

    #[test]
    fn countries_are_two_upper_case_letters() {
        for (code, expect) in [
            (*b"DE", Some("DE")),
            (*b"EU", Some("EU")),
            (*b"de", None),
            (*b"D1", None),
            (*b"\0\0", None),
        ] {
            assert_eq!(
                Country::from_code(code).as_ref().and_then(Country::as_str),
                expect,
                "{code:?}"
            );
        }
        assert_eq!(Country::UNKNOWN.as_str(), None);
    }

    #[test]
    fn classes_and_their_words_and_numbers_agree() {
        for number in 0..=5 {
            match AddressClass::from_number(number) {
                Some(class) => {
                    assert_eq!(class as u8, number);
                    assert_eq!(AddressClass::from_word(class.as_str()), Some(class));
                }
                None => assert_eq!(number, 5),
            }
        }
    }
}
