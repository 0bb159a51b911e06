//! What the sensor is busy with, for somebody who looks at it from outside.
//!
//! The core reads no clock, so it cannot say how long anything takes. It says where it is, at the
//! price of a store; who looks often enough sees where the time goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A part of the way from a packet to an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Getting packets, from a file or an interface.
    #[default]
    Read,
    /// Link layers, IP, fragments, streams.
    Layers,
    /// Copies, queries and their responses.
    Pair,
    /// The records of a response, and what they say.
    Facts,
    /// The registrable domain of the asked name, and its hash.
    Split,
    /// The histories of domains.
    Window,
    /// Measuring and judging them.
    Judge,
    /// Making and writing lines.
    Write,
    /// Waiting for something to do, or for somebody to have done it.
    Wait,
}

impl Stage {
    /// All stages, each at its number.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Layers,
        Self::Pair,
        Self::Facts,
        Self::Split,
        Self::Window,
        Self::Judge,
        Self::Write,
        Self::Wait,
    ];

    /// Its name, as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Layers => "layers",
            Self::Pair => "pair",
            Self::Facts => "facts",
            Self::Split => "split",
            Self::Window => "window",
            Self::Judge => "judge",
            Self::Write => "write",
            Self::Wait => "wait",
        }
    }
}

/// Where somebody's stage stands; clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Marker(Arc<AtomicU8>);

impl Marker {
    /// Says that a stage begins, and the one before it is over.
    #[inline]
    pub fn enter(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }

    /// The stage at this moment.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage::ALL.get(usize::from(self.0.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_shows_what_was_entered_last() {
        let marker = Marker::default();
        let seen = marker.clone();
        for stage in Stage::ALL {
            marker.enter(stage);
            assert_eq!(seen.stage(), stage, "{}", stage.as_str());
        }
    }
}
