//! A place in a Dockerfile, as lines; it knows no file name and no text.

/// A range of physical lines, both ends included, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first line.
    pub start: usize,
    /// The last line; never before `start`.
    pub end: usize,
}

impl Span {
    /// Makes the span from `start` to `end`; an `end` before `start` is moved to it.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// Makes the span of a single line.
    #[must_use]
    pub fn line(line: usize) -> Self {
        Self::new(line, line)
    }
}
