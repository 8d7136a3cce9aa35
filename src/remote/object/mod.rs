//! An object of a store in a cloud, read once: S3, Google Cloud Storage, Azure Blob Storage, and servers that speak like
//! them.
//!
//! Where a store is comes from [`StoreVariables`]; keys and tokens from the room `cloud`. The requests go through the
//! clients of this room, so that its certificates, proxies and time limits hold; signatures are the `object_store`
//! crate's. This module must not know what an object holds.

mod azure;
mod error;
mod gcs;
mod granted;
mod opened;
mod s3;
mod transport;
mod variables;

use std::fmt;

pub use error::ObjectError;
pub use variables::StoreVariables;

/// An object of kaniko's forms of `--context` that names none (its README, "Using Google Cloud Storage").
const DEFAULT_KEY: &str = "context.tar.gz";

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSource {
    store: Store,
    /// Azure's "container".
    bucket: String,
    /// Azure's "blob". Not percent-encoded.
    key: String,
}

/// Whose keys or tokens open a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// Amazon's keys.
    Aws,
    /// Google's tokens.
    Google,
    /// A key of the account's, which is among the [`StoreVariables`].
    AccountKey,
}

/// Whose store it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Store {
    S3,
    Gcs,
    Azure { host: String },
}

impl ObjectSource {
    /// Returns what opens its store.
    pub fn opener(&self) -> Opener {
        match self.store {
            Store::S3 => Opener::Aws,
            Store::Gcs => Opener::Google,
            Store::Azure { .. } => Opener::AccountKey,
        }
    }

    /// Reads `s3://BUCKET/KEY`, `gs://BUCKET/OBJECT` or the URL of a blob that a key opens; `None` for all else. Without a
    /// key the object is `context.tar.gz`.
    pub fn parse(text: &str, variables: &StoreVariables) -> Result<Option<Self>, ObjectError> {
        let store = match text.split_once("://") {
            Some(("s3", rest)) => (Store::S3, rest),
            Some(("gs", rest)) => (Store::Gcs, rest),
            Some(("https", _)) => return Ok(azure::blob(text, variables)),
            Some(_) | None => return Ok(None),
        };
        let (store, rest) = store;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', '?', '#', ':']) {
            return Err(ObjectError::NoBucket);
        }
        Ok(Some(Self {
            store,
            bucket: bucket.to_owned(),
            key: match key {
                "" => DEFAULT_KEY.to_owned(),
                key => key.to_owned(),
            },
        }))
    }
}

/// As a user writes it. There is nothing secret in it.
impl fmt::Display for ObjectSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, bucket, key } = self;
        match store {
            Store::S3 => write!(formatter, "s3://{bucket}/{key}"),
            Store::Gcs => write!(formatter, "gs://{bucket}/{key}"),
            Store::Azure { host } => write!(formatter, "https://{host}/{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_keys_are_read_and_no_key_is_kanikos_default() {
        let variables = StoreVariables::default();
        let parse = |text: &str| ObjectSource::parse(text, &variables);
        for (text, expected) in [
            ("s3://b/a/c.tar", "s3://b/a/c.tar"),
            ("s3://b", "s3://b/context.tar.gz"),
            ("gs://b/", "gs://b/context.tar.gz"),
            ("gs://b/x y.tgz", "gs://b/x y.tgz"),
        ] {
            assert_eq!(parse(text).unwrap().unwrap().to_string(), expected);
        }
        for none in ["/workspace", "tar://x", "https://h/b/k", "S3://b"] {
            assert_eq!(parse(none).unwrap(), None, "{none}");
        }
        for wrong in ["s3://", "gs:///x", "s3://key:secret@b/x"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
