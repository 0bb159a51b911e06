//! The two halves composed: Decoder and Shard. No threads, clocks or files.
