//! Where a value came from, and what was wrong with it.

use std::fmt::{self, Display};

/// Most mistakes that are kept; the others are counted.
pub const MISTAKES_MAX: usize = 100;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table of settings.
    Default,
    /// A line of a file, from 1 on.
    Line {
        /// The file as it was named.
        path: String,
        /// The line.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag, without its dashes.
    Flag(&'static str),
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line { path, line } => write!(f, "{path}:{line}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// One mistake; `Display` says where, what was got, what was expected and how to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub origin: Origin,
    /// The setting it is about, if it is about one.
    pub name: Option<&'static str>,
    /// What was got, what was expected, how to go on.
    pub text: String,
}

impl Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => {}
            Origin::Line { path, line } => write!(f, "{path}:{line}: ")?,
            // Their names say which setting is meant.
            Origin::Variable(name) => return write!(f, "{name}: {}", self.text),
            Origin::Flag(name) => return write!(f, "--{name}: {}", self.text),
        }
        if let Some(name) = self.name {
            write!(f, "{name}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// All mistakes that were found, in the order of the layers and of their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// The first [`MISTAKES_MAX`].
    pub list: Vec<Mistake>,
    /// How many more there are.
    pub more: usize,
}

impl Mistakes {
    /// Whether they are all in flags: then it is the command line that is wrong, not the
    /// configuration.
    #[must_use]
    pub fn are_all_in_flags(&self) -> bool {
        self.more == 0 && self.list.iter().all(|m| matches!(m.origin, Origin::Flag(_)))
    }

    pub(crate) fn push(&mut self, origin: Origin, name: Option<&'static str>, text: String) {
        if self.list.len() < MISTAKES_MAX {
            self.list.push(Mistake { origin, name, text });
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
