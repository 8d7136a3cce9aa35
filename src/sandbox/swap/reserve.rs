//! Room on the disk for putting the container back: a command may fill everything that is left.

use std::ffi::{OsStr, OsString};
use std::io::Write;

use crate::fs::{Dir, PathContext, PathError};

use super::hands::remove_all;

const NAME: &str = "reserve";
/// Putting back takes a journal and a directory for each entry that a stage has in a merged directory:
/// each an inode and a block. Once the first are thrown away, there is room again.
const FILES: usize = 64;
const FILE_BYTES: usize = 4096;

/// Takes the room, unless it is taken.
pub(super) fn take(aside: &Dir) -> Result<(), PathError> {
    let name = OsStr::new(NAME);
    if aside.metadata_of(name)?.is_some() {
        return Ok(());
    }
    aside.create_dir(name, 0o700)?;
    let reserve = aside.open_dir(name)?;
    for number in 0..FILES {
        let name = OsString::from(number.to_string());
        let mut file = reserve.create_file(&name, 0o600)?;
        // Not zeros, for which a file system may take no room.
        file.write_all(&[b'.'; FILE_BYTES])
            .on("write", reserve.path_of(&name))?;
    }
    Ok(())
}

/// Gives the room free.
pub(super) fn release(aside: &Dir) -> Result<(), PathError> {
    remove_all(aside, OsStr::new(NAME))
}
