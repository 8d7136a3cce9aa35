//! Words that come from outside and are shown to people.

use std::fmt;

/// Text from a server, made fit for a terminal: no control characters, and not more than a reader will read.
pub struct Untrusted<'a>(pub &'a str);

/// The longest part of a server's message that is shown, in characters.
const MAX_SHOWN_CHARACTERS: usize = 400;

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut visible = words.chars().filter(|c| !c.is_control());
        let shown: String = visible.by_ref().take(MAX_SHOWN_CHARACTERS).collect();
        f.write_str(&shown)?;
        match visible.next() {
            Some(_) => f.write_str("…"),
            None => Ok(()),
        }
    }
}
