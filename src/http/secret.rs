//! Values that must never be printed. This module knows that they are secret, not what they open.

use std::fmt;

/// A password, or anything else that is sent where a password is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// A bearer or refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Password {
    /// Hides `text` from `Debug`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, to be sent and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Token {
    /// Hides `text` from `Debug`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, to be sent and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_text() {
        let shown = format!("{:?} {:?}", Password::new("hunter2"), Token::new("hunter2"));
        assert_eq!(shown, "Password(..) Token(..)");
    }
}
