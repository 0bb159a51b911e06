//! The named limits of the state. What is over a limit is dropped by a stated rule and counted.

/// Host names kept per history.
pub const HOSTS_PER_TRACK_MAX: usize = 64;

/// Addresses kept per history; the oldest runs and what only they hold go first.
pub const ADDRESSES_PER_TRACK_MAX: usize = 512;

/// Runs kept per history.
pub const RUNS_PER_TRACK_MAX: usize = 256;

/// Observers told apart per history; a bit mask a host holds them.
pub const OBSERVERS_PER_TRACK_MAX: usize = 64;

/// Clients listed a domain, where a setting asks for them.
pub const CLIENTS_LISTED_MAX: usize = 16;

/// Subjects of a domain that are scored, those with the most addresses first.
pub const SUBJECTS_MAX: usize = 16;

/// Fixed number of partitions the domains are split into by their hash. It does not depend on the
/// number of workers, so that budgets and evictions do not either.
pub const PARTITIONS: usize = 64;

/// Smallest budget accepted: every partition must hold some domains of full size.
pub const MEMORY_MIN: usize = 16 << 20;
