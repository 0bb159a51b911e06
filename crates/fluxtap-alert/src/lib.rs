//! Verdicts to the alert life cycle and one JSON line; the only crate that knows alert field names.
