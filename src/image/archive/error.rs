//! Why an archive cannot be read on.

use std::io;

use thiserror::Error;

use super::EXTENSION_BYTES_MAX;

/// Why an archive cannot be read on. Entries are named as far as they are known, else by position.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The stream below failed.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// The stream ends inside of a header or of an entry's contents.
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    /// The header's checksum is wrong: this is no tar archive, or a damaged one.
    #[error("byte {position} of the archive is not a tar header")]
    NotAHeader {
        /// Where the header was expected, in bytes from the start.
        position: u64,
    },
    /// A field is no number, or one that makes no sense there.
    #[error("tar entry `{entry}` has an invalid {field}")]
    InvalidField {
        /// The entry's name as far as it is known.
        entry: String,
        /// The field's name.
        field: &'static str,
    },
    /// An extended header that is larger than anything honest.
    #[error(
        "tar entry `{entry}` has an extended header of {size} bytes, more than the {EXTENSION_BYTES_MAX} allowed"
    )]
    ExtensionTooLarge {
        /// The entry's name as far as it is known.
        entry: String,
        /// What the header claims, in bytes.
        size: u64,
    },
    /// An extended header does not follow its own lengths.
    #[error("tar entry `{entry}` has a malformed PAX record")]
    MalformedPax {
        /// The entry's name as far as it is known.
        entry: String,
    },
    /// The map of a sparse file contradicts itself or the file's size.
    #[error("tar entry `{entry}` has an invalid map of its holes")]
    InvalidSparseMap {
        /// The entry's name.
        entry: String,
    },
    /// A type that neither POSIX nor GNU tar gives to files.
    #[error("tar entry `{entry}` has the unsupported type `{}`", type_byte.escape_ascii())]
    UnsupportedType {
        /// The entry's name.
        entry: String,
        /// The type as the archive has it.
        type_byte: u8,
    },
}

/// Returns a name for messages: shortened, since a hostile one may have a megabyte.
pub(in crate::image) fn display(name: &[u8]) -> String {
    const SHOWN_BYTES: usize = 256;
    let shown = &name[..name.len().min(SHOWN_BYTES)];
    let mut text = String::from_utf8_lossy(shown).replace(|c: char| c.is_control(), "\u{fffd}");
    if shown.len() < name.len() {
        text.push('…');
    }
    text
}
