//! Why an instruction is unknown, or not used as it must be.

use crate::dockerfile::csv::CsvError;
use crate::dockerfile::{FlagError, Keyword, MountError, suggest};

/// Why an instruction is unknown, or not used as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstructionError {
    /// The first word is no keyword.
    #[error("unknown instruction: {name}{}", suggest::hint(.suggestion.as_deref()))]
    Unknown {
        /// The word as written.
        name: String,
        /// A keyword that looks alike.
        suggestion: Option<String>,
    },
    /// A flag cannot be used.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// There is nothing behind the keyword.
    #[error("{0} requires at least one argument")]
    AtLeastOne(Keyword),
    /// There is nothing behind the keyword, or too much.
    #[error("{0} requires exactly one argument")]
    ExactlyOne(Keyword),
    /// A source without a destination, or nothing at all.
    #[error(
        "{0} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    DestinationMissing(Keyword),
    /// The last argument of ADD or COPY is a here document.
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(Keyword),
    /// A `=` with nothing in front.
    #[error("{0} names can not be blank")]
    BlankName(Keyword),
    /// FROM with another number of words, or without `AS` between them.
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    /// A stage cannot be called that.
    #[error(
        "invalid name for build stage: {0:?}, name can't start with a number or contain symbols"
    )]
    StageName(String),
    /// `ONBUILD ONBUILD`.
    #[error("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedOnbuild,
    /// An instruction that makes no sense in a later build.
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    Trigger(Keyword),
    /// `HEALTHCHECK NONE` with something behind it.
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    /// `HEALTHCHECK CMD` with nothing behind it.
    #[error("missing command after HEALTHCHECK CMD")]
    HealthcheckCommandMissing,
    /// HEALTHCHECK with another first word.
    #[error("unknown type {0:?} in HEALTHCHECK (try CMD)")]
    HealthcheckType(String),
    /// A time that is not written as Go writes durations.
    #[error("invalid duration {value:?} for --{flag}")]
    Duration {
        /// The flag, without dashes.
        flag: &'static str,
        /// What was given.
        value: String,
    },
    /// A time below a millisecond.
    #[error("interval {0:?} cannot be less than 1ms")]
    IntervalTooShort(&'static str),
    /// `--retries` is no number of 32 bits.
    #[error("invalid value {0:?} for --retries")]
    Retries(String),
    /// `--retries` is below zero.
    #[error("--retries cannot be negative ({0})")]
    NegativeRetries(i32),
    /// A volume with an empty name.
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    /// SHELL in the shell form.
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellNotJson,
    /// A mount that cannot be used.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A device request that is no record of comma-separated values.
    #[error("failed to parse csv devices: {0}")]
    DeviceCsv(CsvError),
    /// A device request with a field that means nothing.
    #[error("invalid field '{field}' in --device{}", suggest::hint(.suggestion.as_deref()))]
    DeviceField {
        /// The field as written.
        field: String,
        /// A key that looks alike.
        suggestion: Option<String>,
    },
    /// A network mode that does not exist.
    #[error("unsupported network mode {value:?}{}", suggest::hint(.suggestion.as_deref()))]
    Network {
        /// What was given.
        value: String,
        /// A mode that looks alike.
        suggestion: Option<String>,
    },
    /// A security mode that does not exist.
    #[error("security {value:?} is not valid{}", suggest::hint(.suggestion.as_deref()))]
    Security {
        /// What was given.
        value: String,
        /// A mode that looks alike.
        suggestion: Option<String>,
    },
    /// `COPY --from` with a variable.
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    )]
    VariableFrom,
}
