//! Where entries go while a file is read, and what is of no use is counted.

use crate::{Content, ENTRIES_MAX, Format, ListError};
use fluxtap_intel::{Indicator, ThreatDraft, Unusable};
use std::fmt;

/// Examples of what was of no use, so that somebody can see what it is.
const EXAMPLES_MAX: usize = 3;

/// Characters of an example.
const EXAMPLE_CHARS_MAX: usize = 60;

/// Why a line or an object of a list is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// What it names cannot be used.
    Unusable(Unusable),
    /// An exception, an indicator that was withdrawn, or one that is not meant for detection.
    NotMeant,
    /// A trigger or a pattern that says more than one fact, or another one than is known here.
    OtherFact,
    /// Bytes that are no UTF-8.
    NoText,
}

impl Why {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::Unusable(Unusable::NoIndicator),
        Self::Unusable(Unusable::PublicSuffix),
        Self::Unusable(Unusable::TooWide),
        Self::NotMeant,
        Self::OtherFact,
        Self::NoText,
    ];

    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unusable(why) => why.as_str(),
            Self::NotMeant => "an exception, withdrawn, or not meant for detection",
            Self::OtherFact => "a trigger, type or pattern of another sort",
            Self::NoText => "bytes that are no UTF-8",
        }
    }

    /// Whether it is a part of a sound list, and says nothing against it.
    const fn is_sound(self) -> bool {
        !matches!(self, Self::Unusable(Unusable::NoIndicator) | Self::NoText)
    }

    fn position(self) -> usize {
        Self::ALL.iter().position(|why| *why == self).unwrap_or_default()
    }
}

/// What of a list was of no use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    counts: [usize; Why::ALL.len()],
    examples: Vec<String>,
}

impl Skipped {
    /// How often, for every reason that there was.
    pub fn by_reason(&self) -> impl Iterator<Item = (Why, usize)> {
        Why::ALL.into_iter().zip(self.counts).filter(|&(_, count)| count > 0)
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// What says that this is not the list that was meant.
    fn unsound(&self) -> usize {
        self.by_reason().filter(|(why, _)| !why.is_sound()).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Skipped {
    /// `2 times no domain, ...: line 7 '<html>', line 8 '</html>'`; empty if there was nothing. What
    /// the file says is in it as it is, so escape it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (why, count)) in self.by_reason().enumerate() {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            write!(f, "{}{times} {}", if i > 0 { ", " } else { "" }, why.as_str())?;
        }
        if !self.examples.is_empty() {
            write!(f, ": {}", self.examples.join(", "))?;
        }
        Ok(())
    }
}

/// See the module's head.
pub(crate) struct Sink<'a> {
    draft: &'a mut ThreatDraft,
    entries: usize,
    skipped: Skipped,
    pub(crate) made_s: Option<u64>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(draft: &'a mut ThreatDraft) -> Self {
        Self { draft, entries: 0, skipped: Skipped::default(), made_s: None }
    }

    /// Takes what was read of `text`; `place` says where, for people.
    pub(crate) fn take(
        &mut self,
        read: Result<Indicator, Unusable>,
        until_s: Option<u64>,
        place: impl fmt::Display,
        text: &str,
    ) -> Result<(), ListError> {
        match read {
            Ok(indicator) if self.entries < ENTRIES_MAX => {
                self.entries += 1;
                self.draft.push(&indicator, until_s).map_err(|_| ListError::TooMany)
            }
            Ok(_) => Err(ListError::TooMany),
            Err(why) => {
                self.skip(Why::Unusable(why), place, text);
                Ok(())
            }
        }
    }

    /// Counts what is of no use.
    pub(crate) fn skip(&mut self, why: Why, place: impl fmt::Display, text: &str) {
        self.skipped.counts[why.position()] += 1;
        if self.skipped.examples.len() < EXAMPLES_MAX && !why.is_sound() {
            let end = text.char_indices().nth(EXAMPLE_CHARS_MAX).map_or(text.len(), |(at, _)| at);
            let dots = if end < text.len() { "..." } else { "" };
            self.skipped.examples.push(format!("{place} '{}{dots}'", &text[..end]));
        }
    }

    /// Notes a time at which data was made; the latest counts.
    pub(crate) fn made(&mut self, at_s: Option<u64>) {
        self.made_s = self.made_s.max(at_s);
    }

    pub(crate) fn finish(self, format: Format) -> Result<Content, ListError> {
        let Self { entries, skipped, made_s, .. } = self;
        if skipped.unsound() > entries {
            return Err(ListError::Useless { format, entries, skipped });
        }
        // A zone has its SOA and JSON its braces: without entries they are still what they are.
        let is_sure = matches!(format, Format::Rpz | Format::Misp | Format::Stix);
        if entries == 0 && !is_sure {
            return Err(ListError::Empty(format));
        }
        Ok(Content { format, made_s, entries, skipped })
    }
}
