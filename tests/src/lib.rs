//! Suites that cross rooms live in this crate's `tests/` folder; this file holds what they share.
