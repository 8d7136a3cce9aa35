//! What a key was made of, named and hashed: two of them tell why a step was not found again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::encoding::Encoder;
use super::key::{CacheKey, KEY_VERSION};
use crate::image::Digest;

/// The inputs of one step. Values are hashed: what a build argument was is not told to whoever reads a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The instruction, such as `RUN`.
    kind: String,
    /// In a fixed order for each kind.
    parts: Vec<Part>,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What a user calls it, such as `variable VERSION`.
    pub name: String,
    /// Digest of its value.
    pub digest: Digest,
}

/// How an input differs from the last time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It has another value.
    Changed(String),
    /// It was not there.
    Added(String),
    /// It is not there any more.
    Removed(String),
    /// All are the same, in another order.
    Reordered,
    /// The step is another instruction than it was.
    Instruction {
        /// What it was.
        before: String,
        /// What it is.
        now: String,
    },
}

impl Fingerprint {
    /// Begins with no input.
    pub(super) fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            parts: Vec::new(),
        }
    }

    /// Adds an input; `encode` writes its value.
    pub(super) fn part(
        mut self,
        name: impl Into<String>,
        encode: impl FnOnce(Encoder) -> Encoder,
    ) -> Self {
        self.parts.push(Part {
            name: name.into(),
            digest: encode(Encoder::new("input")).finish(),
        });
        self
    }

    /// Returns the instruction.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the inputs.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the key that stands for all of it.
    pub fn key(&self) -> CacheKey {
        let add = |encoder: Encoder, part: &Part| {
            let encoder = encoder.text(&part.name);
            encoder.text(part.digest.as_str())
        };
        let encoder = Encoder::new("key")
            .number(KEY_VERSION)
            .text(&self.kind)
            .list(self.parts.iter(), add);
        CacheKey::of_digest(&encoder.finish())
    }

    /// Returns what is different now from `before`. Empty if nothing is, which is the case if the keys are the same.
    pub fn differences_from(&self, before: &Self) -> Vec<Difference> {
        if self.kind != before.kind {
            return vec![Difference::Instruction {
                before: before.kind.clone(),
                now: self.kind.clone(),
            }];
        }
        let (now, then) = (self.by_name(), before.by_name());
        let mut differences = Vec::new();
        for (name, digests) in &now {
            match then.get(name) {
                None => differences.push(Difference::Added((*name).to_owned())),
                Some(old) if old != digests => {
                    differences.push(Difference::Changed((*name).to_owned()));
                }
                Some(_) => {}
            }
        }
        let removed = then.keys().filter(|name| !now.contains_key(*name));
        differences.extend(removed.map(|name| Difference::Removed((*name).to_owned())));
        if differences.is_empty() && self.parts != before.parts {
            differences.push(Difference::Reordered);
        }
        differences
    }

    fn by_name(&self) -> BTreeMap<&str, Vec<&Digest>> {
        let mut by_name: BTreeMap<&str, Vec<&Digest>> = BTreeMap::new();
        for part in &self.parts {
            by_name.entry(&part.name).or_default().push(&part.digest);
        }
        by_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(parts: &[(&str, &str)]) -> Fingerprint {
        let add = |whole: Fingerprint, (name, value): &(&str, &str)| {
            whole.part(*name, |encoder| encoder.text(value))
        };
        parts.iter().fold(Fingerprint::new("RUN"), add)
    }

    #[test]
    fn the_inputs_that_differ_are_named() {
        let before = fingerprint(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let now = fingerprint(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let expected = [
            Difference::Changed("b".to_owned()),
            Difference::Added("d".to_owned()),
            Difference::Removed("c".to_owned()),
        ];
        assert_eq!(now.differences_from(&before), expected);
        assert_eq!(now.differences_from(&now), []);
        assert_ne!(now.key(), before.key());
    }

    #[test]
    fn another_order_and_another_instruction_are_differences_too() {
        let before = fingerprint(&[("a", "1"), ("b", "1")]);
        let turned = fingerprint(&[("b", "1"), ("a", "1")]);
        assert_eq!(turned.differences_from(&before), [Difference::Reordered]);
        assert_ne!(turned.key(), before.key());
        let mut other = before.clone();
        other.kind = "COPY".to_owned();
        assert!(matches!(
            other.differences_from(&before)[..],
            [Difference::Instruction { .. }]
        ));
        assert_ne!(other.key(), before.key());
    }

    #[test]
    fn a_fingerprint_that_was_written_is_read_back() {
        let written = fingerprint(&[("a", "1"), ("b", "2")]);
        let json = serde_json::to_string(&written).unwrap();
        let read: Fingerprint = serde_json::from_str(&json).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.key(), written.key());
        assert!(!json.contains('1') || !json.contains("\"1\""));
    }
}
