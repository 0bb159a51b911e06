//! The clock and the dice of delivery. Waiting, rotation and back-off happen in the receiver's
//! time; nothing of it goes into a line.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Instant, SystemTime};

/// For stretches of time.
#[expect(clippy::disallowed_methods, reason = "delivery waits in real time; lines carry their own")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// The time of day, in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "lag and rotation are about the time of day")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A number that nobody can foretell.
pub(crate) fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}
