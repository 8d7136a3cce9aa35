//! The Dockerfile suite: `testdata/build/<case>/`, built in every mode, with one result.
//!
//! Included by path by each test binary that builds the suite somewhere: on the machine itself (`tests/modes`), or in
//! containers. What a folder may hold is said in `testdata/build/README.md`; `Case` reads it. A runner builds a case in
//! `Mode::REFERENCE`, asks `reference::complaints`, then builds it elsewhere and asks `compare::complaints`.

pub(crate) mod base_names;
pub(crate) mod case;
pub(crate) mod compare;
pub(crate) mod expectation;
pub(crate) mod listing;
pub(crate) mod mode;
pub(crate) mod outcome;
pub(crate) mod pattern;
pub(crate) mod place;
pub(crate) mod reference;
pub(crate) mod zoo;

pub(crate) use case::Case;
pub(crate) use mode::Mode;
pub(crate) use outcome::Outcome;
pub(crate) use place::Place;
