//! How values of flags are read that clap has no reader for, as Go reads them.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use jiff::SignedDuration;

/// Reads a boolean as Go's `strconv.ParseBool` does: `--cache`, `--cache=true`, `--cache=1`.
pub(in crate::cli) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// Takes any path, the empty one as well: scripts write `--tar-path=$TAR`, and it is up to `options` to take that as unset.
pub(in crate::cli) fn path_or_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Reads a size such as `10GB`, of units that are powers of 1024.
pub(in crate::cli) fn size(text: &str) -> Result<u64, String> {
    let size = crate::dockerfile::parse_size(text);
    size.ok_or_else(|| "expected a size such as `10GB`, `512m` or `0`".to_owned())
}

/// Reads a duration as Go's `time.ParseDuration` does: `336h`, `1h30m`, `300ms`.
pub(in crate::cli) fn go_duration(text: &str) -> Result<SignedDuration, String> {
    let nanoseconds = crate::dockerfile::parse_duration(text);
    let duration = nanoseconds.map(SignedDuration::from_nanos);
    duration.ok_or_else(|| "expected a duration such as `336h`, `1h30m` or `90s`".to_owned())
}
