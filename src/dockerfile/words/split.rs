//! Splitting a text into words while it is being expanded.

/// Collects characters into words.
#[derive(Debug, Default)]
pub(super) struct WordList {
    words: Vec<String>,
    word: String,
}

impl WordList {
    /// Adds a character; a blank ends the word.
    pub(super) fn add_char(&mut self, character: char) {
        if character.is_whitespace() {
            self.end_word();
        } else {
            self.word.push(character);
        }
    }

    /// Adds a text whose blanks end words.
    pub(super) fn add_splitting(&mut self, text: &str) {
        text.chars().for_each(|character| self.add_char(character));
    }

    /// Adds a text whose blanks are part of the word.
    pub(super) fn add_whole(&mut self, text: &str) {
        self.word.push_str(text);
    }

    /// Returns the words; none of them is empty.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.end_word();
        self.words
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }
}
