//! Values as bytes that no other value has: what a key is taken over.
//!
//! Every piece carries what it is and how long it is, and every list how many pieces follow, so that
//! neither a split nor a join nor another order gives the same bytes. This module knows no meaning.

use crate::image::Digest;
use crate::image::digest::DigestHasher;

/// Begins everything that is hashed here, so that no digest of ours is one that somebody else takes
/// over something else: kaniko's keys above all.
const DOMAIN: &str = "sawagani cache";

/// Takes the pieces of a value and becomes their digest.
pub(super) struct Encoder {
    hasher: DigestHasher,
}

impl Encoder {
    /// Starts a value of a kind; values of different kinds never have the same digest.
    pub(super) fn new(kind: &str) -> Self {
        let hasher = DigestHasher::default();
        Self { hasher }.text(DOMAIN).text(kind)
    }

    /// Adds a text.
    pub(super) fn text(self, text: &str) -> Self {
        self.piece(b't', text.as_bytes())
    }

    /// Adds bytes.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        self.piece(b'b', bytes)
    }

    /// Adds a number.
    pub(super) fn number(self, number: i64) -> Self {
        self.piece(b'n', &number.to_le_bytes())
    }

    /// Adds a claim.
    pub(super) fn flag(self, is_so: bool) -> Self {
        self.piece(b'f', &[u8::from(is_so)])
    }

    /// Adds what may be missing; a missing text is not an empty one.
    pub(super) fn optional(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.piece(b'-', &[]),
        }
    }

    /// Adds a list, each element by `add`.
    pub(super) fn list<T>(
        self,
        elements: impl ExactSizeIterator<Item = T>,
        add: impl Fn(Self, T) -> Self,
    ) -> Self {
        let count = elements.len() as u64;
        elements.fold(self.piece(b'l', &count.to_le_bytes()), add)
    }

    /// Returns the digest of everything that was added.
    pub(super) fn finish(self) -> Digest {
        self.hasher.finish()
    }

    fn piece(mut self, tag: u8, bytes: &[u8]) -> Self {
        self.hasher.update(&[tag]);
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Digest {
        let add = |encoder: Encoder, text: &&str| encoder.text(text);
        Encoder::new("k").list(texts.iter(), add).finish()
    }

    #[test]
    fn splits_joins_and_other_kinds_of_the_same_bytes_differ() {
        let digests = [
            list(&[]),
            list(&[""]),
            list(&["", ""]),
            list(&["ab"]),
            list(&["a", "b"]),
            list(&["b", "a"]),
            Encoder::new("k").finish(),
            Encoder::new("k").text("ab").finish(),
            Encoder::new("k").bytes(b"ab").finish(),
            Encoder::new("k").text("a").text("b").finish(),
            Encoder::new("kab").finish(),
            Encoder::new("k").optional(None).finish(),
            Encoder::new("k").optional(Some("")).finish(),
            Encoder::new("k").number(1).finish(),
            Encoder::new("k").flag(true).finish(),
            Encoder::new("k").flag(false).finish(),
            Encoder::new("k").bytes(&[1]).finish(),
        ];
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "number {at}");
        }
    }
}
