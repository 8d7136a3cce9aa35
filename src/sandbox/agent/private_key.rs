//! A private key in a file of the user's.
//!
//! OpenSSH's own format for all kinds of keys, and the older PEM forms (PKCS #1, PKCS #8) for RSA, which is what `ssh-keygen`
//! and `openssl` have written for it. Nothing here is ever printed but public parts.

use std::fmt;
use std::io::Read;
use std::path::Path;

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::OsRng;
use rsa::sha2::{Sha256, Sha512};
use rsa::signature::{RandomizedSigner, SignatureEncoding, Signer};
use rsa::{BigUint, RsaPrivateKey};
use ssh_agent_lib::proto::signature;
use ssh_agent_lib::ssh_key::private::{KeypairData, RsaKeypair};
use ssh_agent_lib::ssh_key::public::KeyData;
use ssh_agent_lib::ssh_key::{self, Algorithm, HashAlg, Signature};

use crate::fs::{PathContext, PathError};

/// More than any key has: RSA with 16384 bits is 13 KB.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A key that can sign.
pub(super) struct PrivateKey {
    secret: Secret,
    public: KeyData,
    comment: String,
}

enum Secret {
    /// RSA by itself: a signature's hash is for whoever asks to choose.
    Rsa(Box<RsaPrivateKey>),
    Other(Box<ssh_key::PrivateKey>),
}

/// Why a file is no key that can be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A passphrase would be needed.
    #[error(
        "it is protected by a passphrase, which nobody can be asked for; give it without one, or the socket of an agent that has it"
    )]
    Encrypted,
    /// It has none of the forms that are read.
    #[error(
        "it is no private key in OpenSSH's format, nor an RSA key in PEM; `ssh-keygen -p -f FILE` rewrites a key"
    )]
    UnknownFormat,
    /// It is damaged, or of a kind that cannot sign without its device.
    #[error("it cannot be read, or cannot sign: {0}")]
    Unusable(String),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("algorithm", &self.public.algorithm())
            .field("comment", &self.comment)
            .finish_non_exhaustive()
    }
}

/// Reads a file that may hold a key.
pub(super) fn read(path: &Path) -> Result<String, PathError> {
    let file = std::fs::File::open(path).on("open", path)?;
    let mut bytes = Vec::new();
    let mut file = file.take(KEY_FILE_BYTES_MAX);
    file.read_to_end(&mut bytes).on("read", path)?;
    // What is no text has no form of a key.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

impl PrivateKey {
    /// Understands `text`, the contents of the file at `path`, and signs with it once.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, KeyError> {
        let name = || {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let key = match armor(text) {
            Some("OPENSSH PRIVATE KEY") => Self::from_openssh(text),
            Some("RSA PRIVATE KEY") if text.contains("ENCRYPTED") => Err(KeyError::Encrypted),
            Some("ENCRYPTED PRIVATE KEY") => Err(KeyError::Encrypted),
            Some("RSA PRIVATE KEY") => {
                Self::from_rsa(RsaPrivateKey::from_pkcs1_pem(text).map_err(unusable)?)
            }
            Some("PRIVATE KEY") => Self::from_rsa(
                RsaPrivateKey::from_pkcs8_pem(text).map_err(|_| KeyError::UnknownFormat)?,
            ),
            _ => Err(KeyError::UnknownFormat),
        }?;
        // Tried now, where it can be told: an agent that refuses says no more than "no".
        key.sign(b"a key that works", signature::RSA_SHA2_256)
            .map_err(unusable)?;
        let has_comment = !key.comment.is_empty();
        let comment = if has_comment { key.comment } else { name() };
        Ok(Self { comment, ..key })
    }

    fn from_openssh(text: &str) -> Result<Self, KeyError> {
        let key = ssh_key::PrivateKey::from_openssh(text).map_err(unusable)?;
        if key.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        let (public, comment) = (
            key.public_key().key_data().clone(),
            key.comment().to_owned(),
        );
        let secret = match key.key_data() {
            KeypairData::Rsa(pair) => Secret::Rsa(Box::new(rsa_key(pair).map_err(unusable)?)),
            _ => Secret::Other(Box::new(key)),
        };
        Ok(Self {
            secret,
            public,
            comment,
        })
    }

    fn from_rsa(key: RsaPrivateKey) -> Result<Self, KeyError> {
        let public = ssh_key::public::RsaPublicKey::try_from(key.to_public_key());
        Ok(Self {
            secret: Secret::Rsa(Box::new(key)),
            public: KeyData::Rsa(public.map_err(unusable)?),
            comment: String::new(),
        })
    }

    pub(super) fn public(&self) -> &KeyData {
        &self.public
    }

    pub(super) fn comment(&self) -> &str {
        &self.comment
    }

    /// Signs `data`. RSA with the hash that `flags` ask for (draft-miller-ssh-agent, section 3.6.1); with SHA-1, which
    /// no flag would mean and no server takes any more, it does not.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Result<Signature, rsa::signature::Error> {
        let key = match &self.secret {
            Secret::Other(key) => return Signer::try_sign(key.key_data(), data),
            Secret::Rsa(key) => key.as_ref().clone(),
        };
        let (hash, bytes) = if flags & signature::RSA_SHA2_512 != 0 {
            let key = rsa::pkcs1v15::SigningKey::<Sha512>::new(key);
            (
                HashAlg::Sha512,
                key.try_sign_with_rng(&mut OsRng, data)?.to_vec(),
            )
        } else if flags & signature::RSA_SHA2_256 != 0 {
            let key = rsa::pkcs1v15::SigningKey::<Sha256>::new(key);
            (
                HashAlg::Sha256,
                key.try_sign_with_rng(&mut OsRng, data)?.to_vec(),
            )
        } else {
            return Err(rsa::signature::Error::new());
        };
        let algorithm = Algorithm::Rsa { hash: Some(hash) };
        Signature::new(algorithm, bytes).map_err(|_| rsa::signature::Error::new())
    }
}

/// Both primes, where the conversion of `ssh-key` 0.6 takes one of them twice.
fn rsa_key(pair: &RsaKeypair) -> Result<RsaPrivateKey, rsa::Error> {
    let number = |number: &ssh_key::Mpint| {
        let bytes = number.as_positive_bytes().ok_or(rsa::Error::InvalidModulus);
        Ok::<_, rsa::Error>(BigUint::from_bytes_be(bytes?))
    };
    let primes = vec![number(&pair.private.p)?, number(&pair.private.q)?];
    let (n, e) = (number(&pair.public.n)?, number(&pair.public.e)?);
    RsaPrivateKey::from_components(n, e, number(&pair.private.d)?, primes)
}

/// What the first line of PEM says that it is.
fn armor(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")
}

fn unusable(error: impl fmt::Display) -> KeyError {
    KeyError::Unusable(error.to_string())
}
