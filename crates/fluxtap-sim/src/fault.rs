//! What goes wrong between the wire and the capture file.

use crate::random::Random;

/// Shares of packets (0 to 1) that a mirror port loses, delivers twice or hands over late.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Lost.
    pub loss_share: f64,
    /// Seen twice within some microseconds, as by a mirror of both directions of a link.
    pub duplicate_share: f64,
    /// Written behind up to 8 later packets, with its own time.
    pub reorder_share: f64,
}

/// What happens to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Whole,
    Lost,
    /// Twice, with so many microseconds between.
    Twice(u64),
}

impl Faults {
    pub(crate) fn fate(&self, random: &mut Random) -> Fate {
        if random.chance(self.loss_share) {
            Fate::Lost
        } else if random.chance(self.duplicate_share) {
            Fate::Twice(1 + random.below(50))
        } else {
            Fate::Whole
        }
    }

    /// Behind how many later packets a packet is written.
    pub(crate) fn delay(&self, random: &mut Random) -> u64 {
        if random.chance(self.reorder_share) { 1 + random.below(8) } else { 0 }
    }
}
