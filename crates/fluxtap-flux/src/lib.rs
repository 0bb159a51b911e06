//! Features to a verdict that explains itself.
