//! Bytes that nobody may print.

use std::fmt;
use std::sync::Arc;

/// The contents of a secret. A clone shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Takes the contents.
    pub fn new(contents: impl Into<Arc<[u8]>>) -> Self {
        Self(contents.into())
    }

    /// Returns the contents.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing_of_the_contents() {
        let secret = Secret::new(*b"hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
