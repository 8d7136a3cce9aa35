//! What can go wrong while unpacking, always with the entry's name.

use std::path::PathBuf;

use thiserror::Error;

use crate::fs::PathError;
use crate::image::archive::{ArchiveError, display};

/// Why a tar stream was not unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The stream is no sound tar archive, or could not be read.
    #[error(transparent)]
    Archive(ArchiveError),
    /// One entry was refused, or could not be made.
    #[error("cannot unpack `{entry}`")]
    Entry {
        /// Its name as the archive has it.
        entry: String,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// Something not about one entry failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// A hard link's target is in no layer.
    #[error("cannot make the hard link `{}`: no layer has its target `{}`", link.display(), target.display())]
    MissingLinkTarget {
        /// The new name.
        link: PathBuf,
        /// The name it should share its file with.
        target: PathBuf,
    },
    /// A hard link's target is a directory.
    #[error("cannot make the hard link `{}`: its target `{}` is a directory", link.display(), target.display())]
    LinkToDirectory {
        /// The new name.
        link: PathBuf,
        /// The directory.
        target: PathBuf,
    },
}

impl UnpackError {
    pub(super) fn entry(name: &[u8], source: EntryError) -> Self {
        let entry = display(name);
        Self::Entry { entry, source }
    }
}

/// Why an entry was refused, or could not be made.
#[derive(Debug, Error)]
pub enum EntryError {
    /// More `..` than directories above.
    #[error("its name leads out of the root")]
    ClimbsOut,
    /// A name that Linux cannot take in one call.
    #[error("its name is longer than {} bytes", super::entry_path::PATH_BYTES_MAX)]
    NameTooLong,
    /// A name that no file can have.
    #[error("its name has a NUL byte")]
    NulInName,
    /// `.wh.` with nothing, `.` or `..` behind it.
    #[error("it is a whiteout of a name that cannot exist")]
    InvalidWhiteout,
    /// The archive's numbers are none that Linux has.
    #[error("its owner {uid}:{gid} is out of range")]
    OwnerOutOfRange {
        /// User as the archive has it.
        uid: i64,
        /// Group as the archive has it.
        gid: i64,
    },
    /// The user namespace does not map the owner.
    #[error(
        "its owner {uid}:{gid} is outside of the ids that this user namespace maps \
         (`/etc/subuid` and `/etc/subgid` give the range)"
    )]
    OwnerNotMapped {
        /// User wanted.
        uid: u32,
        /// Group wanted.
        gid: u32,
        /// The kernel's answer.
        #[source]
        source: PathError,
    },
    /// A hard link's target does not exist.
    #[error("the target `{target}` of the hard link does not exist")]
    MissingLinkTarget {
        /// The target as the archive has it.
        target: String,
    },
    /// A hard link's target is a directory.
    #[error("the target `{target}` of the hard link is a directory")]
    LinkToDirectory {
        /// The target as the archive has it.
        target: String,
    },
    /// A hard link's target is refused.
    #[error("the target `{target}` of the hard link is refused")]
    LinkTarget {
        /// The target as the archive has it.
        target: String,
        /// Why: as for names of entries.
        #[source]
        source: Box<EntryError>,
    },
    /// A file capability cannot be kept: leaving it out would break the program it is on.
    #[error("its file capabilities cannot be set")]
    Capability(#[source] PathError),
    /// The contents could not be read.
    #[error(transparent)]
    Contents(#[from] ArchiveError),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
}
