//! Why a mount cannot be used.

use crate::dockerfile::csv::CsvError;
use crate::dockerfile::{ExpandError, suggest};

/// Why a mount cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// The value is no record of comma-separated values.
    #[error("failed to parse csv mounts: {0}")]
    Csv(CsvError),
    /// `from` names a variable.
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    VariableFrom,
    /// A value cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A key that needs a value stands alone.
    #[error("invalid field '{0}' must be a key=value pair")]
    ValueMissing(String),
    /// No mount has such a key.
    #[error("unexpected key '{key}' in '{field}'{}", suggest::hint(.suggestion.as_deref()))]
    UnknownKey {
        /// The key in lower case.
        key: String,
        /// The field as written.
        field: String,
        /// A key that looks alike.
        suggestion: Option<String>,
    },
    /// This type of mount has no such key. The type counts that was given before it.
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyOfOtherType {
        /// The key in lower case.
        key: &'static str,
        /// The type.
        kind: &'static str,
    },
    /// There is no such type of mount.
    #[error("unsupported mount type {value:?}{}", suggest::hint(.suggestion.as_deref()))]
    UnknownType {
        /// What was given.
        value: String,
        /// A type that looks alike.
        suggestion: Option<String>,
    },
    /// There is no such way of sharing.
    #[error("unsupported sharing value {value:?}{}", suggest::hint(.suggestion.as_deref()))]
    UnknownSharing {
        /// What was given.
        value: String,
        /// A way that looks alike.
        suggestion: Option<String>,
    },
    /// A value of the wrong kind.
    #[error("invalid value for {key}: {value}")]
    InvalidValue {
        /// The key in lower case.
        key: String,
        /// What was given, expanded.
        value: String,
    },
    /// An owner or mode for a type that has none.
    #[error("{key} not allowed for {kind:?} type mounts")]
    NotAllowed {
        /// The key.
        key: &'static str,
        /// The type.
        kind: &'static str,
    },
    /// A secret that comes from a stage.
    #[error("secret mount should not have a from")]
    SecretFrom,
    /// A secret with a way of sharing.
    #[error("secret mount should not define sharing")]
    SecretSharing,
    /// A secret without any name.
    #[error("invalid secret mount. one of source, target required")]
    SecretWithoutName,
    /// A secret with two names.
    #[error("both source and id can't be set")]
    SecretWithTwoNames,
    /// Sharing of what is no cache.
    #[error("invalid cache sharing set for {0} mount")]
    SharingWithoutCache(&'static str),
    /// An agent with a source.
    #[error("ssh does not support source")]
    SshSource,
}
