//! A digest names bytes by their hash. This module knows bytes, not what they mean.
//!
//! The type is ours because oci-spec's has no order and accepts any algorithm: ours is a map key,
//! and every value of it can be checked against content.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha512};
use thiserror::Error;

/// The hash functions that image-spec registers (descriptor.md "Registered Algorithms") and that we verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// `sha256`, the one every registry speaks; everything we write uses it.
    Sha256,
    /// `sha512`, only ever read.
    Sha512,
}

impl DigestAlgorithm {
    /// Returns the name before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Why a text is not a digest.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DigestError {
    /// No `:` between algorithm and value.
    #[error("`{0}` is not a digest: expected `sha256:` and 64 hexadecimal digits")]
    NoAlgorithm(String),
    /// An algorithm that we cannot verify.
    #[error("digest `{0}` has an unsupported algorithm")]
    UnsupportedAlgorithm(String),
    /// The wrong number of digits, or a character that is not lower-case hexadecimal.
    #[error("digest `{text}` must have {expected} lower-case hexadecimal digits")]
    InvalidValue {
        /// The text as given.
        text: String,
        /// How many digits its algorithm has.
        expected: usize,
    },
}

/// The digest of content as it is stored: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    text: Arc<str>,
}

impl Digest {
    /// Parses and checks `algorithm:hex`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let Some((name, hex)) = text.split_once(':') else {
            return Err(DigestError::NoAlgorithm(text.to_owned()));
        };
        let algorithm = match name {
            "sha256" => DigestAlgorithm::Sha256,
            "sha512" => DigestAlgorithm::Sha512,
            _ => return Err(DigestError::UnsupportedAlgorithm(text.to_owned())),
        };
        let expected = algorithm.hex_length();
        let is_hex = hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != expected || !is_hex {
            let text = text.to_owned();
            return Err(DigestError::InvalidValue { text, expected });
        }
        Ok(Self {
            algorithm,
            text: text.into(),
        })
    }

    /// Returns the SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Says whether this is the digest of `bytes`.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        let mut hasher = DigestHasher::new(self.algorithm);
        hasher.update(bytes);
        hasher.finish() == *self
    }

    /// Returns the hash function of this digest.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Returns the digits after the colon: a safe file name.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }

    /// Returns the whole text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The digest of a layer's uncompressed tar, as image configs list it; its own type so that it never
/// meets the digest of the compressed blob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(Digest);

impl DiffId {
    /// Declares that `digest` was taken over an uncompressed layer tar.
    pub fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// Parses and checks `algorithm:hex`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        Digest::parse(text).map(Self)
    }

    /// Returns the digest of the uncompressed tar.
    pub fn as_digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Takes bytes piece by piece and becomes their digest.
#[derive(Clone)]
pub struct DigestHasher {
    state: HasherState,
}

#[derive(Clone)]
enum HasherState {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl DigestHasher {
    /// Starts with no bytes taken.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        let state = match algorithm {
            DigestAlgorithm::Sha256 => HasherState::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => HasherState::Sha512(Sha512::new()),
        };
        Self { state }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            HasherState::Sha256(state) => state.update(bytes),
            HasherState::Sha512(state) => state.update(bytes),
        }
    }

    /// Returns the digest of everything taken.
    pub fn finish(self) -> Digest {
        let (algorithm, sum) = match self.state {
            HasherState::Sha256(state) => (DigestAlgorithm::Sha256, state.finalize().to_vec()),
            HasherState::Sha512(state) => (DigestAlgorithm::Sha512, state.finalize().to_vec()),
        };
        let mut text = String::with_capacity(algorithm.name().len() + 1 + algorithm.hex_length());
        text.push_str(algorithm.name());
        text.push(':');
        for byte in sum {
            for nibble in [byte >> 4, byte & 0xf] {
                text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        Digest {
            algorithm,
            text: text.into(),
        }
    }
}

impl Default for DigestHasher {
    fn default() -> Self {
        Self::new(DigestAlgorithm::Sha256)
    }
}

impl fmt::Debug for DigestHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestHasher(..)")
    }
}

/// Passes bytes on to a writer, hashing (SHA-256) and counting what that writer accepted.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: DigestHasher,
    bytes_written: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Starts with nothing written.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: DigestHasher::default(),
            bytes_written: 0,
        }
    }

    /// Returns how many bytes went through.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Gives back the writer, unflushed, with the digest and the number of the bytes that went through.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.bytes_written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let accepted = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..accepted]);
        self.bytes_written += accepted as u64;
        Ok(accepted)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Passes bytes on from a reader, hashing (SHA-256) and counting what was read.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hasher: DigestHasher,
    bytes_read: u64,
}

impl<R: Read> HashingReader<R> {
    /// Starts with nothing read.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: DigestHasher::default(),
            bytes_read: 0,
        }
    }

    /// Gives back the reader with the digest and the number of the bytes read so far, which need not be all there are.
    pub fn finish(self) -> (R, Digest, u64) {
        (self.inner, self.hasher.finish(), self.bytes_read)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes_read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
