//! Bounded per-domain sliding windows of event time; windows to features.
