//! The name under which a step's layer is kept: the same for the same step, another for any other.
//!
//! A key is the SHA-256 of a [`Fingerprint`](super::Fingerprint): the list of a step's inputs, each with its name and the
//! digest of its value. This is the whole of what counts:
//!
//! | input | base | RUN | COPY | ADD | WORKDIR |
//! |---|---|---|---|---|---|
//! | key version | ✓ | ✓ | ✓ | ✓ | ✓ |
//! | the instruction's kind | ✓ | ✓ | ✓ | ✓ | ✓ |
//! | key of the step before, or of the base | | ✓ | ✓[^7] | ✓[^7] | ✓ |
//! | platform | ✓ | by the base | by the base | by the base | by the base |
//! | diff IDs of the base's layers[^1] | ✓ | by the base | by the base | by the base | by the base |
//! | how layers are written: compression, level, latest time[^2] | ✓ | by the base | by the base | by the base | by the base |
//! | paths that go into no layer | ✓ | by the base | by the base | by the base | by the base |
//! | command, with the shell before it; here document that is a script | | ✓ | | | |
//! | variables of the command's environment, each by name[^3] | | ✓ | | | |
//! | working directory | | ✓ | in the destination | in the destination | in the path |
//! | user, as the config names it[^4] | | ✓ | | | ✓ |
//! | options of the instruction (`--network`, `--security`, `--link`, `--parents`), host name that was asked for | | ✓ | ✓ | ✓ | |
//! | mounts in their order: kind and options[^5] | | ✓ | | | |
//! | files of bind mounts, and those that cache mounts start with | | as a source | | | |
//! | destination, absolute | | | ✓ | ✓ | ✓ |
//! | `--chown` and `--chmod`, expanded | | | ✓ | ✓ | |
//! | whether archives are unpacked | | | | ✓ | |
//! | sources in their order[^6] | | | ✓ | ✓ | |
//!
//! [^1]: Not the manifest's digest, and so neither tag, repository, creation date, labels, annotations nor compression: a
//!   step sees files, and what else it takes from the base's config (environment, user, working directory, shell) is an
//!   input of its own.
//! [^2]: A layer that is found must be one that could have been made, byte for byte: with a SOURCE_DATE_EPOCH that follows
//!   the commit, a new commit finds nothing, as its files would have other times.
//! [^3]: ENV, and ARG that the stage declares; not those that it does not, not proxies that came without a declaration, not
//!   secrets. In no order, as in the environment itself.
//! [^4]: A name is looked up in the image, which the step before stands for.
//! [^5]: Not the value of a secret, nor what is in a cache or behind an SSH agent.
//! [^6]: By content: path, kind, mode, size, bytes, link target, capability, hard links among them; neither time, nor owner
//!   where it is reset (see `context::digest`). By definition, for `--from`: key of the stage or image, path, excludes. From
//!   the network: by what the name stands for now: bytes, `ETag` and `Last-Modified`, or a commit with its options
//!   and the reference that a kept `.git` names; and excludes. Here documents: name and text.
//! [^7]: With `--link`, of no files: the layer is made without a look at the stage's. What comes behind it goes back to
//!   the step before and to the layer, both.
//!
//! A step has two keys. The one by definition stands on the key of the step before, and is known before anything has run.
//! The one by content stands on the files that are there before the step, and on the files that it copies: if nothing is
//! found by definition, as where another stage was executed anew and made the same, it is tried once the files are known.
//! What was made is kept under both.
//!
//! The one layer of a stage (`--single-snapshot`) is made of those of its steps, and kept under the diff IDs of the layers below
//! and of theirs, and its compression.
//!
//! Which files there are is a key too: after COPY, ADD and WORKDIR the key of that step by content, as these make the same
//! of the same; after a RUN, which need not, one of the files before it and of the layer that it made. An entry says which
//! files it was made on and with. One that was made on others than this build has is no answer, whatever its key.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::image::Digest;

/// Goes up whenever the same inputs would give another layer than before: the inputs' encoding, or what a step does.
pub(super) const KEY_VERSION: i64 = 2;

/// Digits of a key.
const KEY_DIGITS: usize = 64;

/// The key of a step: 64 lower-case hexadecimal digits, as kaniko's are, and never one of those.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(String);

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cache key: expected {KEY_DIGITS} lower-case hexadecimal digits")]
pub struct InvalidKey(pub String);

impl CacheKey {
    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == KEY_DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKey(text.to_owned()))
        }
    }

    pub(super) fn of_digest(digest: &Digest) -> Self {
        Self(digest.hex().to_owned())
    }

    /// Returns the digits: a tag and a safe file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for CacheKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CacheKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_digits_are_a_key() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(CacheKey::parse(&good).unwrap().as_str(), good);
        for bad in [
            "",
            "latest",
            &good[1..],
            &format!("{good}0"),
            &good.to_uppercase(),
            &good.replace('0', "/"),
        ] {
            assert!(CacheKey::parse(bad).is_err(), "{bad}");
        }
    }
}
